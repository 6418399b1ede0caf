"""What a kernel reads: rows of int64, one a job; addresses, byte steps, counts. Zero as an address: there is none.

The head of a launch, then its groups, then its jobs. A group is what one thread works through for a block of images; its
jobs share what they read or add to one result.
"""

from __future__ import annotations

# head
(KIND, NEXT_CHUNK, NEXT_THREAD, GROUPS, BLOCKS, IMAGES, GROUP_TABLE, JOB_TABLE, SCRATCH, SCRATCH_SIZE, AT_SPREAD, AT_DEPTH,
 AT_SHARE, AT_PULL, AT_TILES, GROUP_STEP) = range(16)
HEAD = 16

# kinds of launch
FORWARD, BACKWARD, SUM, PROJECT, STEP = range(5)

# a group: its jobs are FIRST .. LAST - 1; TARGET (map), its pixels an image and bytes a pixel; SHIFT (SUM) is also the
# gradient that an IDENTITY beside the jobs of BACKWARD passes on
FIRST, LAST, TARGET, PIXELS, SIZE, ADDS, SHIFT = range(7)
GROUP = 7

# a job of FORWARD and BACKWARD: one ReLU, depth-wise (KERNEL 0: none) and point-wise convolution; or, where DENSE is 1, a 3x3
# convolution, whose POINTWISE and GRAD_POINTWISE are sixteen matrices (winograd.py)
(X, MEAN, INVERSE_STD, HEIGHT, WIDTH, EVERY, OFFSET, SEEN_HEIGHT, SEEN_WIDTH, KERNEL, STRIDE, DILATION, BORDER, CHANNELS_IN,
 CHANNELS_OUT, OUT_HEIGHT, OUT_WIDTH, TAPS, POINTWISE, OUT, OUT_STEP, IMAGE_MEAN, IMAGE_SQUARES, STATISTIC_STEP,
 GRAD, SCALE, SLOPE, CONSTANT, GRAD_TAPS, GRAD_POINTWISE, IDENTITY, DENSE) = range(32)
JOB = 32

# a job of SUM (out = shift + sum of coefficient * map) and of PROJECT (sum over pixels of grad * (map - mean))
MAP, COEFFICIENT, RESULT = range(3)

# a group of STEP, which has no jobs: a parameter, its gradient (none: zeros) and momentum, bytes, four numbers
WEIGHTS, GRADS, VELOCITIES, LENGTH, SETTINGS = range(5)
