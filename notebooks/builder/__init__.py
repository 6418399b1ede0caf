"""How notebooks/src/NN_name.py becomes notebooks/NN_name.ipynb, and what such a notebook must keep to.

`pairing` reads the text source, `opening` holds what every notebook begins with, `execution` runs a notebook,
`gates` says what is wrong with one, `page` makes an HTML page, `__main__` is the command line.
The text source is edited by hand, the .ipynb never.
"""
