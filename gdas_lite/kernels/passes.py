"""The passes over maps that a fused cell is made of. Compiled by numba; `table.py` says what the addresses mean.

* FORWARD: ReLU (of a normalised map), depth-wise, point-wise convolution, and the result's mean and variance, an image at a
  time, so that all between stays in the cache.
* BACKWARD: the same backwards, from the gradient of the weighted, normalised output; jobs of a group add to one gradient.
* SUM: shift + sum over maps of coefficient * map. PROJECT: for each map and channel the sum of gradient * (map - mean).

Whatever a launch writes depends on images and blocks of images, never on who computes them: one thread and many give the
same bits.
"""

from __future__ import annotations

from . import table as t
from .simd import (
    REAL,
    VECTOR,
    add,
    fma,
    integer,
    load,
    multiply,
    spread,
    store,
    subtract,
    take_number,
    where_above,
    zeros,
)
from .tiles import clear, compiled, eight_pixels, five_taps, product, rectified_copy, three_taps

TOGETHER = 128      # pixels of a step of the weight gradient: two maps of it fit the first cache


@compiled
def field(row, name):
    return integer(row + 8 * name)


@compiled
def spread_source(job, image, out):
    """relu of the job's input, every EVERY-th pixel of it, with a border of zeros; a little more is zero behind it."""
    size, border = field(job, t.CHANNELS_IN) * REAL, field(job, t.BORDER)
    height, width, every, offset = field(job, t.HEIGHT), field(job, t.WIDTH), field(job, t.EVERY), field(job, t.OFFSET)
    seen = field(job, t.SEEN_WIDTH)
    x, pitch = field(job, t.X) + image * height * width * size, (seen + 2 * border) * size
    there = min(seen, (width - offset + every - 1) // every)
    clear(out, border * pitch)
    out += border * pitch
    for row in range(field(job, t.SEEN_HEIGHT)):
        from_row = row * every + offset
        pixels = there if from_row < height else 0
        clear(out, border * size)
        rectified_copy(out + border * size, x + (from_row * width + offset) * size, every * size, pixels, size,
                       field(job, t.MEAN), field(job, t.INVERSE_STD))
        clear(out + (border + pixels) * size, (seen - pixels + border) * size)
        out += pitch
    clear(out, border * pitch + 4 * size)


@compiled
def depthwise_row(job, spread_x, row, out):
    """A row of the depth-wise convolution; up to seven pixels behind it are overwritten."""
    size, border, stride = field(job, t.CHANNELS_IN) * REAL, field(job, t.BORDER), field(job, t.STRIDE)
    kernel, dilation, taps = field(job, t.KERNEL), field(job, t.DILATION), field(job, t.TAPS)
    lead, pitch = border - dilation * (kernel // 2), (field(job, t.SEEN_WIDTH) + 2 * border) * size
    x = spread_x + (row * stride + lead) * pitch + lead * size
    for offset in range(0, size, VECTOR):
        for column in range(0, field(job, t.OUT_WIDTH), 8):
            eight_pixels(out + column * size + offset, size, x + column * stride * size + offset, stride * size,
                         dilation * pitch, dilation * size, taps + offset, size, kernel, False)


@compiled
def image_statistics(mean_at, squares_at, x, step, pixels, size):
    """Mean of an image's channels, and the sum of squares about it."""
    share, whole = spread(1.0 / pixels), pixels - pixels % 4
    for offset in range(0, size, VECTOR):
        a = b = c = d = zeros()
        at = x + offset
        for _ in range(0, whole, 4):
            a, b = add(load(at), a), add(load(at + step), b)
            c, d = add(load(at + 2 * step), c), add(load(at + 3 * step), d)
            at += 4 * step
        for _ in range(whole, pixels):
            a = add(load(at), a)
            at += step
        mean = multiply(add(add(a, b), add(c, d)), share)
        a = b = c = d = zeros()
        at = x + offset
        for _ in range(0, whole, 4):
            e, f = subtract(load(at), mean), subtract(load(at + step), mean)
            g, h = subtract(load(at + 2 * step), mean), subtract(load(at + 3 * step), mean)
            a, b, c, d = fma(e, e, a), fma(f, f, b), fma(g, g, c), fma(h, h, d)
            at += 4 * step
        for _ in range(whole, pixels):
            e = subtract(load(at), mean)
            a = fma(e, e, a)
            at += step
        store(mean_at + offset, mean)
        store(squares_at + offset, add(add(a, b), add(c, d)))


@compiled
def forward_image(job, image, spread_x, depth):
    size, out_size, step = field(job, t.CHANNELS_IN) * REAL, field(job, t.CHANNELS_OUT) * REAL, field(job, t.OUT_STEP)
    height, width, border = field(job, t.OUT_HEIGHT), field(job, t.OUT_WIDTH), field(job, t.BORDER)
    kernel, pitch = field(job, t.KERNEL), (field(job, t.SEEN_WIDTH) + 2 * border) * size
    out = field(job, t.OUT) + image * height * width * step
    for row in range(height):
        made = spread_x + (row + border) * pitch + border * size
        if kernel:
            depthwise_row(job, spread_x, row, depth)
            made = depth
        product(out + row * width * step, step, made, size, REAL, field(job, t.POINTWISE), out_size,
                width, field(job, t.CHANNELS_OUT), field(job, t.CHANNELS_IN), False)
    at = image * field(job, t.STATISTIC_STEP)
    image_statistics(field(job, t.IMAGE_MEAN) + at, field(job, t.IMAGE_SQUARES) + at, out, step, height * width, out_size)


@compiled
def share_of(job, image, out):
    """Gradient of the convolution's output: SCALE * GRAD + SLOPE * OUT + CONSTANT, which is batch norm's backward pass."""
    out_size, step = field(job, t.CHANNELS_OUT) * REAL, field(job, t.OUT_STEP)
    pixels = field(job, t.OUT_HEIGHT) * field(job, t.OUT_WIDTH)
    grad, made = field(job, t.GRAD) + image * pixels * step, field(job, t.OUT) + image * pixels * step
    scale, slope, constant = field(job, t.SCALE), field(job, t.SLOPE), field(job, t.CONSTANT)
    width = field(job, t.OUT_WIDTH)
    for first in range(0, pixels, width):
        for offset in range(0, out_size, VECTOR):
            a, b, c = load(scale + offset), load(slope + offset), load(constant + offset)
            at, to = first * step + offset, out + first * out_size + offset
            for _ in range(width):
                store(to, fma(a, load(grad + at), fma(b, load(made + at), c)))
                at += step
                to += out_size


@compiled
def pointwise_backward(job, image, block, spread_x, share, pull, pull_pitch):
    """A job without a depth-wise convolution."""
    channels, channels_out, every = field(job, t.CHANNELS_IN), field(job, t.CHANNELS_OUT), field(job, t.EVERY)
    size, out_size, border, width = channels * REAL, channels_out * REAL, field(job, t.BORDER), field(job, t.OUT_WIDTH)
    pitch, offset = (field(job, t.SEEN_WIDTH) + 2 * border) * size, field(job, t.OFFSET)
    weights = field(job, t.GRAD_POINTWISE)
    for row in range(field(job, t.OUT_HEIGHT)):
        grad = share + row * width * out_size
        if weights:
            product(weights + block * channels * out_size, out_size, spread_x + (row + border) * pitch + border * size,
                    REAL, size, grad, out_size, channels, channels_out, width, True)
        if pull:
            product(pull + (row * every + offset) * pull_pitch + offset * size, every * size, grad, out_size, REAL,
                    field(job, t.POINTWISE), size, width, channels, channels_out, True)


@compiled
def depthwise_backward(job, image, block, spread_x, depth_grad, depth, share, pull, pull_pitch):
    channels, channels_out, stride = field(job, t.CHANNELS_IN), field(job, t.CHANNELS_OUT), field(job, t.STRIDE)
    size, out_size, width = channels * REAL, channels_out * REAL, field(job, t.OUT_WIDTH)
    height, kernel, dilation = field(job, t.OUT_HEIGHT), field(job, t.KERNEL), field(job, t.DILATION)
    lead = dilation * (kernel // 2)
    seen, tall = field(job, t.SEEN_WIDTH), field(job, t.SEEN_HEIGHT)
    pitch = (seen + 2 * lead) * size
    inner = depth_grad + lead * (pitch + size)
    clear(depth_grad, (tall + 2 * lead) * pitch + 4 * size)
    for row in range(height):
        product(inner + row * stride * pitch, stride * size, share + row * width * out_size, out_size, REAL,
                field(job, t.POINTWISE), size, width, channels, channels_out, False)
    if field(job, t.GRAD_POINTWISE):
        weight_gradients(job, block, spread_x, inner, pitch, depth, share)
    if pull:
        every = field(job, t.EVERY)
        pull += field(job, t.OFFSET) * (pull_pitch + size)
        last_tap = field(job, t.TAPS) + (kernel * kernel - 1) * size
        for row in range(tall):
            for offset in range(0, size, VECTOR):
                for column in range(0, seen, 8):
                    eight_pixels(pull + row * every * pull_pitch + column * every * size + offset, every * size,
                                 depth_grad + row * pitch + column * size + offset, size, dilation * pitch,
                                 dilation * size, last_tap + offset, -size, kernel, True)


@compiled
def weight_gradients(job, block, spread_x, inner, inner_pitch, depth, share):
    """Adds to this block's gradients of both convolutions' weights; the depth-wise output is computed again."""
    channels, channels_out, kernel = field(job, t.CHANNELS_IN), field(job, t.CHANNELS_OUT), field(job, t.KERNEL)
    size, out_size, stride, width = channels * REAL, channels_out * REAL, field(job, t.STRIDE), field(job, t.OUT_WIDTH)
    height, border, dilation = field(job, t.OUT_HEIGHT), field(job, t.BORDER), field(job, t.DILATION)
    for row in range(height):
        depthwise_row(job, spread_x, row, depth + row * width * size)
    pixels, to = height * width, field(job, t.GRAD_POINTWISE) + block * channels * out_size
    for first in range(0, pixels, TOGETHER):
        product(to, out_size, depth + first * size, REAL, size, share + first * out_size, out_size, channels,
                channels_out, min(TOGETHER, pixels - first), True)
    pitch, lead = (field(job, t.SEEN_WIDTH) + 2 * border) * size, border - dilation * (kernel // 2)
    to = field(job, t.GRAD_TAPS) + block * kernel * kernel * size
    for row in range(height):
        for tap in range(kernel):
            x = spread_x + (row * stride + lead + tap * dilation) * pitch + lead * size
            grad, at = inner + row * stride * inner_pitch, to + tap * kernel * size
            for offset in range(0, size, VECTOR):
                if kernel == 3:
                    three_taps(at + offset, size, x + offset, stride * size, dilation * size, grad + offset,
                               stride * size, width)
                else:
                    five_taps(at + offset, size, x + offset, stride * size, dilation * size, grad + offset,
                              stride * size, width)


@compiled
def finish_pull(group, job, image, pull, pull_pitch):
    """Through the ReLU to the group's target, whose sum and projection on its map a job may ask for."""
    size, height, width = field(job, t.CHANNELS_IN) * REAL, field(job, t.HEIGHT), field(job, t.WIDTH)
    here = image * height * width * size
    x, target, mean, identity = field(job, t.X) + here, field(group, t.TARGET) + here, field(job, t.MEAN), field(job, t.IDENTITY)
    grad, adds = field(group, t.SHIFT) + here, field(group, t.ADDS)
    sums, squares = field(job, t.IMAGE_MEAN), field(job, t.IMAGE_SQUARES)
    if sums:
        sums, squares = sums + image * size, squares + image * size
        clear(sums, size)
        clear(squares, size)
    for row in range(height):
        for offset in range(0, size, VECTOR):
            bound = load(mean + offset) if mean else zeros()
            factor = load(identity + offset) if identity else zeros()
            total = projection = zeros()
            at, pulls = row * width * size + offset, pull + row * pull_pitch + offset
            for _ in range(width):
                value = load(x + at)
                pulled = where_above(value, bound, load(pulls))
                if identity:
                    pulled = fma(factor, load(grad + at), pulled)
                if adds:
                    pulled = add(pulled, load(target + at))
                store(target + at, pulled)
                if sums:
                    total, projection = add(total, pulled), fma(pulled, subtract(value, bound), projection)
                at += size
                pulls += size
            if sums:
                store(sums + offset, add(load(sums + offset), total))
                store(squares + offset, add(load(squares + offset), projection))


@compiled
def convolution_chunk(head, group, first_image, last_image, block, scratch):
    """FORWARD or BACKWARD of a group on a block of images."""
    jobs, first, last = field(head, t.JOB_TABLE), field(group, t.FIRST), field(group, t.LAST)
    spread_x, depth_grad = scratch + field(head, t.AT_SPREAD), scratch
    depth, share, pull = scratch + field(head, t.AT_DEPTH), scratch + field(head, t.AT_SHARE), scratch + field(head, t.AT_PULL)
    is_forward, target = field(head, t.KIND) == t.FORWARD, field(group, t.TARGET)
    for image in range(first_image, last_image):
        lead = jobs + first * t.JOB * 8
        pull_pitch = (field(lead, t.WIDTH) + 16) * field(lead, t.CHANNELS_IN) * REAL
        if target:
            clear(pull, (field(lead, t.HEIGHT) + 2) * pull_pitch)
        every = 0
        offset = 0
        for index in range(first, last):
            job = jobs + index * t.JOB * 8
            reads = is_forward or field(job, t.GRAD_POINTWISE)
            if reads and (field(job, t.EVERY) != every or field(job, t.OFFSET) != offset):
                every, offset = field(job, t.EVERY), field(job, t.OFFSET)
                spread_source(job, image, spread_x)
            if is_forward:
                forward_image(job, image, spread_x, depth)
            else:
                share_of(job, image, share)
                if field(job, t.KERNEL):
                    depthwise_backward(job, image, block, spread_x, depth_grad, depth, share, pull if target else 0,
                                       pull_pitch)
                else:
                    pointwise_backward(job, image, block, spread_x, share, pull if target else 0, pull_pitch)
        if target:
            finish_pull(group, lead, image, pull, pull_pitch)


@compiled
def clear_block(head, group, block):
    """Zeros in the block's weight gradients."""
    for index in range(field(group, t.FIRST), field(group, t.LAST)):
        job = field(head, t.JOB_TABLE) + index * t.JOB * 8
        size, kernel = field(job, t.CHANNELS_IN) * REAL, field(job, t.KERNEL)
        if field(job, t.GRAD_POINTWISE):
            length = size * field(job, t.CHANNELS_OUT)
            clear(field(job, t.GRAD_POINTWISE) + block * length, length)
            clear(field(job, t.GRAD_TAPS) + block * kernel * kernel * size, kernel * kernel * size)


@compiled
def sum_chunk(head, group, first_image, last_image):
    """SUM; a chunk is a block of images, eight pixels and eight channels at a time."""
    size = field(group, t.SIZE)
    first, last = first_image * field(group, t.PIXELS), last_image * field(group, t.PIXELS)
    jobs, end = field(head, t.JOB_TABLE) + field(group, t.FIRST) * 24, field(head, t.JOB_TABLE) + field(group, t.LAST) * 24
    out, shift, adds = field(group, t.TARGET), field(group, t.SHIFT), field(group, t.ADDS)
    whole = first + (last - first) // 8 * 8
    for pixel in range(first, whole, 8):
        for offset in range(0, size, VECTOR):
            at = pixel * size + offset
            a = b = c = d = e = f = g = h = load(shift + offset)
            if adds:
                to = out + at
                a, b, c, d = add(a, load(to)), add(b, load(to + size)), add(c, load(to + 2 * size)), add(d, load(to + 3 * size))
                e, f = add(e, load(to + 4 * size)), add(f, load(to + 5 * size))
                g, h = add(g, load(to + 6 * size)), add(h, load(to + 7 * size))
            for job in range(jobs, end, 24):
                x, factor = field(job, t.MAP) + at, load(field(job, t.COEFFICIENT) + offset)
                a, b = fma(load(x), factor, a), fma(load(x + size), factor, b)
                c, d = fma(load(x + 2 * size), factor, c), fma(load(x + 3 * size), factor, d)
                e, f = fma(load(x + 4 * size), factor, e), fma(load(x + 5 * size), factor, f)
                g, h = fma(load(x + 6 * size), factor, g), fma(load(x + 7 * size), factor, h)
            to = out + at
            store(to, a)
            store(to + size, b)
            store(to + 2 * size, c)
            store(to + 3 * size, d)
            store(to + 4 * size, e)
            store(to + 5 * size, f)
            store(to + 6 * size, g)
            store(to + 7 * size, h)
    for pixel in range(whole, last):
        for offset in range(0, size, VECTOR):
            at = pixel * size + offset
            a = load(shift + offset)
            if adds:
                a = add(a, load(out + at))
            for job in range(jobs, end, 24):
                a = fma(load(field(job, t.MAP) + at), load(field(job, t.COEFFICIENT) + offset), a)
            store(out + at, a)


@compiled
def project_chunk(head, group, first_image, last_image):
    """PROJECT; without a map, the sum of the gradient."""
    size, pixels = field(group, t.SIZE), field(group, t.PIXELS)
    for image in range(first_image, last_image):
        grad = field(group, t.TARGET) + image * pixels * size
        for index in range(field(group, t.FIRST), field(group, t.LAST)):
            job = field(head, t.JOB_TABLE) + index * 24
            x, mean, result = field(job, t.MAP), field(job, t.COEFFICIENT), field(job, t.RESULT) + image * size
            if x:
                x += image * pixels * size
            for offset in range(0, size, VECTOR):
                store(result + offset, projected(grad + offset, x + offset if x else 0, mean + offset if mean else 0,
                                                 size, pixels))


@compiled
def projected(grad, x, mean, step, pixels):
    a = b = c = d = zeros()
    centre = load(mean) if mean else zeros()
    whole = pixels - pixels % 4
    if x:
        for _ in range(0, whole, 4):
            a = fma(load(grad), subtract(load(x), centre), a)
            b = fma(load(grad + step), subtract(load(x + step), centre), b)
            c = fma(load(grad + 2 * step), subtract(load(x + 2 * step), centre), c)
            d = fma(load(grad + 3 * step), subtract(load(x + 3 * step), centre), d)
            grad += 4 * step
            x += 4 * step
        for _ in range(whole, pixels):
            a = fma(load(grad), subtract(load(x), centre), a)
            grad += step
            x += step
    else:
        for _ in range(0, whole, 4):
            a, b = add(load(grad), a), add(load(grad + step), b)
            c, d = add(load(grad + 2 * step), c), add(load(grad + 3 * step), d)
            grad += 4 * step
        for _ in range(whole, pixels):
            a = add(load(grad), a)
            grad += step
    return add(add(a, b), add(c, d))


@compiled
def work(head):
    """What every thread of a launch does: draw a chunk, compute it, until there are none."""
    scratch = field(head, t.SCRATCH) + take_number(head + 8 * t.NEXT_THREAD) * field(head, t.SCRATCH_SIZE)
    blocks, images, kind = field(head, t.BLOCKS), field(head, t.IMAGES), field(head, t.KIND)
    chunks = field(head, t.GROUPS) * blocks
    while True:
        chunk = take_number(head + 8 * t.NEXT_CHUNK)
        if chunk >= chunks:
            break
        block = chunk % blocks
        group = field(head, t.GROUP_TABLE) + chunk // blocks * t.GROUP * 8
        first, last = block * images // blocks, (block + 1) * images // blocks
        if kind == t.SUM:
            sum_chunk(head, group, first, last)
        elif kind != t.PROJECT:
            if kind == t.BACKWARD:
                clear_block(head, group, block)
            convolution_chunk(head, group, first, last, block, scratch)
        else:
            project_chunk(head, group, first, last)
