"""The same numbers, faster: engines that attach themselves to a search."""
