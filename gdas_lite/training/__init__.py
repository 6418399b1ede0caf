"""Training of the derived networks: recipes, the loop, evaluation."""
