"""FORWARD: ReLU (of a normalised map), depth-wise, point-wise convolution, and the result's mean and variance, an image
at a time, so that all between stays in the cache. Compiled by numba; `job_table.py` says what the addresses mean.
"""

from . import job_table as t
from .depthwise_loops import depthwise_line
from .matmul import product
from .pointers import REAL
from .simd import map_size
from .statistics import image_statistics
from .vector_loops import clear, compiled, fetch_pixels, field, rectified_copy, stream_pixels
from .winograd import dense_forward

TOGETHER = 128      # pixels whose statistics are taken while they are in the first cache


@compiled
def spread_source(lanes, job, image, out):
    """relu of the job's input, every EVERY-th pixel of it, with a border of zeros; a little more is zero behind it."""
    size, border = field(job, t.CHANNELS_IN) * REAL, field(job, t.BORDER)
    height, width, every, offset = field(job, t.HEIGHT), field(job, t.WIDTH), field(job, t.EVERY), field(job, t.OFFSET)
    seen, scale = field(job, t.SEEN_WIDTH), field(job, t.GAIN) or field(job, t.INVERSE_STD)
    step = map_size(lanes, size)
    x, pitch = field(job, t.X) + image * height * width * step, (seen + 2 * border) * size
    there = min(seen, (width - offset + every - 1) // every)
    clear(lanes, out, border * pitch)
    out += border * pitch
    for row in range(field(job, t.SEEN_HEIGHT)):
        from_row = row * every + offset
        pixels = there if from_row < height else 0
        clear(lanes, out, border * size)
        rectified_copy(lanes, out + border * size, x + (from_row * width + offset) * step, every * step, pixels, size,
                       field(job, t.MEAN), scale, field(job, t.BIAS))
        clear(lanes, out + (border + pixels) * size, (seen - pixels + border) * size)
        out += pitch
    clear(lanes, out, border * pitch + 4 * size)


@compiled
def depthwise_row(lanes, job, spread_x, row, out):
    """A row of the depth-wise convolution; up to seven pixels behind it are overwritten."""
    size, border, stride = field(job, t.CHANNELS_IN) * REAL, field(job, t.BORDER), field(job, t.STRIDE)
    kernel, dilation, taps = field(job, t.KERNEL), field(job, t.DILATION), field(job, t.TAPS)
    lead, pitch = border - dilation * (kernel // 2), (field(job, t.SEEN_WIDTH) + 2 * border) * size
    x = spread_x + (row * stride + lead) * pitch + lead * size
    depthwise_line(lanes, out, size, x, stride * size, dilation * pitch, dilation * size, taps, size, kernel,
                   field(job, t.OUT_WIDTH), size, False)


@compiled
def forward_image(lanes, job, image, spread_x, depth, made, tiles):
    """made: takes what is then copied past the caches, since nobody reads it before the whole batch is done."""
    size, out_size, step = field(job, t.CHANNELS_IN) * REAL, field(job, t.CHANNELS_OUT) * REAL, field(job, t.OUT_STEP)
    height, width, border = field(job, t.OUT_HEIGHT), field(job, t.OUT_WIDTH), field(job, t.BORDER)
    kernel, pitch = field(job, t.KERNEL), (field(job, t.SEEN_WIDTH) + 2 * border) * size
    out = field(job, t.OUT) + image * height * width * step
    at, together = image * field(job, t.STATISTIC_STEP), max(1, TOGETHER // width)
    mean, squares = field(job, t.IMAGE_MEAN) + at, field(job, t.IMAGE_SQUARES) + at
    if field(job, t.DENSE):
        dense_forward(lanes, field(job, t.DENSE), made, height, width, spread_x, pitch, border, size, out_size,
                      field(job, t.POINTWISE), tiles)
        image_statistics(lanes, mean, squares, made, out_size, 0, height * width, out_size)
        stream_pixels(lanes, out, step, made, height * width, out_size)
        return
    line, rows = field(job, t.WIDTH) * map_size(lanes, size), field(job, t.STRIDE) * field(job, t.EVERY)
    for first in range(0, height, together):
        last = min(first + together, height)
        for row in range(first, last):
            fetch_pixels(field(job, t.X) + ((image + 1) * field(job, t.HEIGHT) + row * rows) * line, line * rows, 1,
                         line * rows)
            from_row = spread_x + (row + border) * pitch + border * size
            if kernel:
                depthwise_row(lanes, job, spread_x, row, depth)
                from_row = depth
            product(lanes, made + (row - first) * width * out_size, out_size, from_row, size, REAL,
                    field(job, t.POINTWISE),
                    out_size, width, field(job, t.CHANNELS_OUT), field(job, t.INNER_IN), False)
        pixels = (last - first) * width
        image_statistics(lanes, mean, squares, made, out_size, first * width, pixels, out_size)
        stream_pixels(lanes, out + first * width * step, step, made, pixels, out_size)
