"""What a search finds: values, notations, published cells and results; no torch."""
