"""The searches: algorithms (who updates what), the bilevel loop, its history."""
