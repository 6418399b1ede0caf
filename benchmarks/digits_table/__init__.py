"""The ground truth of the embedded digits: every NAS-Bench-201 cell trained, and the means to do it again.

Needs numba (the extra `fast`). Looking the results up, `gl.tabular("digits")`, does not.
"""
