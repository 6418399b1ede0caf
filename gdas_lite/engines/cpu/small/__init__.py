"""Networks of a few channels on the CPU in compiled loops, for searches and for the digits' table.

There PyTorch spends its time in calling operations; here a layer is one compiled loop over maps that stay in a cache.
"""
