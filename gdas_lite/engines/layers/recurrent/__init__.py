"""A window of text through the recurrent cell as one function, forwards and backwards."""
