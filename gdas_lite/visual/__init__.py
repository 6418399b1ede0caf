"""How figures and drawn cells are made; plots.py and diagrams.py are what a user calls."""
