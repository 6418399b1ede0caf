"""What a kernel reads: rows of int64, one a job; addresses, byte steps, counts. Zero as an address: there is none.

The head of a launch, then its groups, then its jobs. A group is what one thread works through for a block of images;
its jobs share what they read or add to one result. Steps are bytes of a map as stored; SIZE, POOL_SIZE of float32.
"""

# head
(KIND, NEXT_CHUNK, NEXT_THREAD, GROUPS, BLOCKS, IMAGES, GROUP_TABLE, JOB_TABLE, SCRATCH, SCRATCH_SIZE, AT_SPREAD,
 AT_DEPTH, AT_SHARE, AT_GRAD_INPUT, AT_TILES, GROUP_STEP) = range(16)
HEAD = 16

# kinds of launch
FORWARD, BACKWARD, SUM, PROJECT, POOL, UNPOOL, STEP, TURN = range(8)

# a group: its jobs are FIRST .. LAST - 1, DONE counts its blocks. TARGET: a map with its bytes from pixel to pixel.
# ADDEND: a map to be added (its STEP). Of BACKWARD, the jobs LAST .. SHIFT - 1 are identities: each adds SCALE * GRAD.
# Of SUM, SHIFT is added to each pixel, COPY is where the result shall stand a second time; TARGET_KEPT, COPY_KEPT: how
# much of SIZE stands there; MIXED: 1 where factors are yet to be made, see MAP_WEIGHT
(FIRST, LAST, DONE, TARGET, PIXELS, SIZE, TARGET_STEP, ADDEND, ADDEND_STEP, SHIFT, SHIFT_STEP, COPY,
 COPY_STEP, TARGET_KEPT, COPY_KEPT, MIXED) = range(16)

# a group of POOL and UNPOOL; POSITIONS (a byte each) only of the maximum. POOL_MEAN, POOL_SQUARES, POOL_EPS,
# POOL_MOMENTS: see IMAGE_MEAN; POOL_NORM: see NORM
(_, _, _, POOL_X, POOL_OUT, POSITIONS, IN_HEIGHT, IN_WIDTH, POOLED_HEIGHT, POOLED_WIDTH, POOL_SIZE, POOL_STRIDE,
 POOL_MEAN, POOL_SQUARES, POOL_EPS, POOL_MOMENTS, POOL_TARGET, POOL_ADDEND, POOL_ADDEND_STEP, POOL_SHIFT,
 POOL_SHIFT_STEP, POOL_NORM) = range(22)

# a group of STEP, which has no jobs: a parameter, its gradient (none: zeros) and momentum, bytes, five numbers
WEIGHTS, GRADS, VELOCITIES, LENGTH, SETTINGS = range(5)

# a group of TURN, which has no jobs: a matrix (rows, columns) and where it shall stand transposed
MATRIX, TURNED, ROWS, COLUMNS = range(4)

# a job of FORWARD and BACKWARD: one ReLU, depth-wise (KERNEL 0: none) and point-wise convolution; or, where DENSE is
# the side of its tiles, a 3x3 convolution, whose POINTWISE and GRAD_POINTWISE are so many matrices (winograd.py). STEP:
# bytes from pixel to pixel. IMAGE_MEAN, IMAGE_SQUARES: mean of each image and sum of squares about it (STATISTIC_STEP
# apart), from which come the MOMENTS of all: mean, inverse standard deviation (EPS: a float64's bits), variance,
# MOMENT_STEP apart. In BACKWARD they are sum and projection of the target, from which the factors of batch norm's
# backward pass come. GAIN, BIAS: where the norm of the input is affine, its weight * INVERSE_STD and its bias; the
# backward pass adds two rows to the factors, the gradients of both. SCALE_STEP: bytes from an image's SCALE to the next
# one's (0: one for all). NORM: what is done with the MOMENTS, see there. INNER_IN, INNER_OUT: channels that are not
# padding (padding.py). IN_STEP, TAP_STEP: bytes in the gradient of a 3x3 convolution, SUM_POINTWISE, from input channel
# to input channel and from tap to tap. SIZES: memory for each intermediate map of an image
(X, MEAN, INVERSE_STD, HEIGHT, WIDTH, EVERY, OFFSET, SEEN_HEIGHT, SEEN_WIDTH, KERNEL, STRIDE, DILATION, BORDER,
 CHANNELS_IN, CHANNELS_OUT, OUT_HEIGHT, OUT_WIDTH, TAPS, POINTWISE, OUT, OUT_STEP, IMAGE_MEAN, IMAGE_SQUARES,
 STATISTIC_STEP, MOMENTS, MOMENT_STEP, EPS, GRAD, GRAD_STEP, SCALE, SLOPE, CONSTANT, GRAD_TAPS, GRAD_POINTWISE,
 SUM_TAPS, SUM_POINTWISE, DENSE, GAIN, BIAS, SCALE_STEP, NORM, INNER_IN, INNER_OUT, IN_STEP, TAP_STEP,
 SIZES) = range(46)
SIZE_COUNT = 6
JOB = SIZES + SIZE_COUNT

# what is done with a batch's moments. AFFINE: where weight * inverse standard deviation and bias shall stand,
# AFFINE_STEP apart. ESTIMATED_MEAN (of the map with CONV_BIAS added) and ESTIMATED_VARIANCE of TRAINED channels move by
# MOMENTUM (a float64's bits); COUNTER counts
(NORM_WEIGHT, NORM_BIAS, AFFINE, AFFINE_STEP, ESTIMATED_MEAN, ESTIMATED_VARIANCE, CONV_BIAS, TRAINED, MOMENTUM,
 COUNTER) = range(10)

# a job of SUM and UNPOOL (out = shift + sum of coefficient * map) and of PROJECT (sum over pixels of grad * (map -
# mean), of an image in RESULT). COEFFICIENT_STEP as SCALE_STEP; of SUM and UNPOOL, so is SHIFT_STEP. A map's MOMENTS
# (none: not normalised), its MAP_WEIGHT (a float64) in the node's sum, GAIN and BIAS of an affine norm and MASK of drop
# path (a number an image) make SUM's COEFFICIENT and SHIFT; and of the batch norm's backward pass FACTORS, (3, C), each
# image's first one as SCALES; the gradient OF_WEIGHT; TOTALS, (2, C): sums and projections, times the weight. These two
# are float64; with FACTORS and a GAIN, TOTALS are the gradients of the norm's bias and weight
(MAP, COEFFICIENT, MAP_STEP, COEFFICIENT_STEP, MAP_MOMENTS, MAP_MOMENT_STEP, MAP_WEIGHT, MAP_GAIN, MAP_BIAS, MAP_MASK,
 RESULT, FACTORS, SCALES, OF_WEIGHT, TOTALS) = range(15)
MAP_JOB = 15
