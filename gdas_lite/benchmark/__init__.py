"""Tables of ground truth, the baselines that ask them, and the landscape they span; no torch."""
