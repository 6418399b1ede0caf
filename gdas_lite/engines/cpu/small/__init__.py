"""Networks of a few channels on the CPU in compiled loops, for searches and for the digits' table.

On such networks PyTorch spends its time in calling its operations; here a layer is one compiled loop over maps that
stay in the processor's cache.
"""
