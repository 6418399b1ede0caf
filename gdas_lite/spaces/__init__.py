"""The search spaces: each holds its edges, search cell, supernet, deriving rule and final network."""
