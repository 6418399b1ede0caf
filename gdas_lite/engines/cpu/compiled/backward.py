"""BACKWARD: FORWARD backwards, from the gradient of the weighted, normalised output; jobs of a group add to one
gradient. Compiled by numba; `job_table.py` says what the addresses mean.
"""

from . import job_table as t
from .depthwise_loops import depthwise_line, tap_gradients
from .forward import depthwise_row
from .matmul import product
from .pointers import REAL
from .simd import (
    add,
    fma,
    load,
    load_map,
    map_size,
    store,
    stream_map,
    subtract,
    vector_size,
    where_above,
    zeros,
)
from .vector_loops import clear, compiled, fetch_pixels, field
from .winograd import dense_backward

TOGETHER = 128      # pixels


@compiled
def fetch_ahead(lanes, job, image, row, group):
    """Asks for what `share_of` will read of a row (or the next image's); of a group, for that row of its next image and
    of what is added to this one's gradient."""
    out_size = map_size(lanes, field(job, t.CHANNELS_OUT) * REAL)
    width, step, grad_step = field(job, t.OUT_WIDTH), field(job, t.OUT_STEP), field(job, t.GRAD_STEP)
    first = (image * field(job, t.OUT_HEIGHT) + row) * width
    fetch_pixels(field(job, t.OUT) + first * step, step, width, out_size)
    fetch_pixels(field(job, t.GRAD) + first * grad_step, grad_step, width, out_size)
    if group:
        size, wide = map_size(lanes, field(job, t.CHANNELS_IN) * REAL), field(job, t.WIDTH)
        rows, tall = field(job, t.STRIDE) * field(job, t.EVERY), field(job, t.HEIGHT)
        line = size * wide * rows
        fetch_pixels(field(job, t.X) + ((image + 1) * tall + row * rows) * size * wide, line, 1, line)
        if field(group, t.ADDEND):
            step = field(group, t.ADDEND_STEP)
            fetch_pixels(field(group, t.ADDEND) + (image * tall + row * rows) * wide * step, step, wide * rows, size)


@compiled
def share_of(lanes, job, image, first_row, rows, out):
    """Gradient of the convolution's output: SCALE * GRAD + SLOPE * OUT + CONSTANT, batch norm's backward pass."""
    out_size, step, grad_step = field(job, t.CHANNELS_OUT) * REAL, field(job, t.OUT_STEP), field(job, t.GRAD_STEP)
    width = field(job, t.OUT_WIDTH)
    first, pixels = (image * field(job, t.OUT_HEIGHT) + first_row) * width, rows * width
    grad, made = field(job, t.GRAD) + first * grad_step, field(job, t.OUT) + first * step
    scale = field(job, t.SCALE) + image * field(job, t.SCALE_STEP)
    slope, constant = field(job, t.SLOPE), field(job, t.CONSTANT)
    for offset in range(0, out_size, vector_size(lanes)):
        a, b, c = load(lanes, scale + offset), load(lanes, slope + offset), load(lanes, constant + offset)
        at, other, to = made + map_size(lanes, offset), grad + map_size(lanes, offset), out + offset
        for _ in range(pixels):
            store(to, fma(a, load_map(lanes, other), fma(b, load_map(lanes, at), c)))
            at += step
            other += grad_step
            to += out_size


@compiled
def rows_together(job):
    """Rows of the output that are worked through at a time, so that all of it stays in the first cache."""
    return max(1, TOGETHER // field(job, t.OUT_WIDTH))


@compiled
def pointwise_backward(lanes, job, image, block, spread_x, share, grad_input, grad_pitch, group):
    """A job without a depth-wise convolution."""
    channels, channels_out, every = field(job, t.CHANNELS_IN), field(job, t.CHANNELS_OUT), field(job, t.EVERY)
    size, out_size, border, width = channels * REAL, channels_out * REAL, field(job, t.BORDER), field(job, t.OUT_WIDTH)
    pitch = (field(job, t.SEEN_WIDTH) + 2 * border) * size
    offset, height = field(job, t.OFFSET), field(job, t.OUT_HEIGHT)
    weights = field(job, t.GRAD_POINTWISE) + block * channels * out_size if field(job, t.GRAD_POINTWISE) else 0
    for row in range(height):
        share_of(lanes, job, image, row, 1, share)
        fetch_ahead(lanes, job, image, row + 2, group)
        if weights:
            product(lanes, weights, out_size, spread_x + (row + border) * pitch + border * size, REAL, size, share,
                    out_size, field(job, t.INNER_IN), channels_out, width, True)
        if grad_input:
            product(lanes, grad_input + (row * every + offset) * grad_pitch + offset * size, every * size, share,
                    out_size, REAL, field(job, t.POINTWISE), size, width, channels, field(job, t.INNER_OUT), True)


@compiled
def tiles_backward(lanes, job, image, block, spread_x, share, grad_input, grad_pitch, tiles):
    """A job that is a 3x3 convolution over all channels."""
    channels, out_size, height = field(job, t.CHANNELS_IN), field(job, t.CHANNELS_OUT) * REAL, field(job, t.OUT_HEIGHT)
    size, border, weights = channels * REAL, field(job, t.BORDER), field(job, t.GRAD_POINTWISE)
    if weights:
        weights += block * field(job, t.DENSE)**2 * channels * out_size
    share_of(lanes, job, image, 0, height, share)
    dense_backward(lanes, field(job, t.DENSE), share, height, field(job, t.OUT_WIDTH), spread_x,
                   (field(job, t.SEEN_WIDTH) + 2 * border) * size,
                   border, size, out_size, field(job, t.POINTWISE), weights, grad_input, grad_pitch, tiles)


@compiled
def depthwise_backward(lanes, job, image, block, spread_x, depth_grad, depth, share, grad_input, grad_pitch, adds,
                       group):
    """Some rows of the output at a time: their gradient, through the point-wise convolution, the weights' gradients,
    and those rows of the input's gradient to which nothing is missing. adds: to what `grad_input` holds."""
    channels, channels_out, stride = field(job, t.CHANNELS_IN), field(job, t.CHANNELS_OUT), field(job, t.STRIDE)
    size, out_size, width = channels * REAL, channels_out * REAL, field(job, t.OUT_WIDTH)
    height, tall, seen = field(job, t.OUT_HEIGHT), field(job, t.SEEN_HEIGHT), field(job, t.SEEN_WIDTH)
    lead, together = field(job, t.DILATION) * (field(job, t.KERNEL) // 2), rows_together(job)
    pitch = (seen + 2 * lead) * size
    inner = depth_grad + lead * (pitch + size)
    clear(lanes, depth_grad, lead * (pitch + size))
    done = 0
    for first in range(0, height, together):
        last = min(first + together, height)
        share_of(lanes, job, image, first, last - first, share)
        for row in range(first, last):
            at = inner + row * stride * pitch
            if stride == 1:
                clear(lanes, at + seen * size, 2 * lead * size)        # behind this row and before the next
            else:
                clear(lanes, at, 2 * pitch)
            fetch_ahead(lanes, job, image, row + together, group)
            product(lanes, at, stride * size, share + (row - first) * width * out_size, out_size, REAL,
                    field(job, t.POINTWISE), size, width, channels, field(job, t.INNER_OUT), False)
        if field(job, t.GRAD_POINTWISE):
            weight_gradients(lanes, job, block, first, last, spread_x, inner, pitch, depth, share)
        if grad_input:
            ready = last * stride - lead
            if last == height:
                clear(lanes, depth_grad + (tall + lead) * pitch, lead * pitch + 4 * size)
                ready = tall
            grad_input_rows(lanes, job, done, ready, depth_grad, pitch, grad_input, grad_pitch, adds)
            done = max(done, ready)


@compiled
def grad_input_rows(lanes, job, first, last, depth_grad, pitch, grad_input, grad_pitch, adds):
    """Rows of the input's gradient: the depth-wise convolution with its taps turned by 180 degrees."""
    size, every, kernel, dilation = (field(job, t.CHANNELS_IN) * REAL, field(job, t.EVERY), field(job, t.KERNEL),
                                     field(job, t.DILATION))
    grad_input += field(job, t.OFFSET) * (grad_pitch + size)
    last_tap = field(job, t.TAPS) + (kernel * kernel - 1) * size
    for row in range(first, last):
        depthwise_line(lanes, grad_input + row * every * grad_pitch, every * size, depth_grad + row * pitch, size,
                       dilation * pitch, dilation * size, last_tap, -size, kernel, field(job, t.SEEN_WIDTH), size, adds)


@compiled
def weight_gradients(lanes, job, block, first, last, spread_x, inner, inner_pitch, depth, share):
    """Adds rows' part to this block's gradients of both weights; the depth-wise output is computed again."""
    channels, channels_out, kernel = field(job, t.CHANNELS_IN), field(job, t.CHANNELS_OUT), field(job, t.KERNEL)
    size, out_size, stride, width = channels * REAL, channels_out * REAL, field(job, t.STRIDE), field(job, t.OUT_WIDTH)
    border, dilation = field(job, t.BORDER), field(job, t.DILATION)
    for row in range(first, last):
        depthwise_row(lanes, job, spread_x, row, depth + (row - first) * width * size)
    product(lanes, field(job, t.GRAD_POINTWISE) + block * channels * out_size, out_size, depth, REAL, size, share,
            out_size, field(job, t.INNER_IN), channels_out, (last - first) * width, True)
    pitch, lead = (field(job, t.SEEN_WIDTH) + 2 * border) * size, border - dilation * (kernel // 2)
    to = field(job, t.GRAD_TAPS) + block * kernel * kernel * size
    for row in range(first, last):
        for tap in range(kernel):
            x = spread_x + (row * stride + lead + tap * dilation) * pitch + lead * size
            tap_gradients(lanes, to + tap * kernel * size, x, stride * size, dilation * size,
                          inner + row * stride * inner_pitch, stride * size, kernel, width, size)


@compiled
def finish_grad_input(lanes, group, jobs, image, grad_input, grad_pitch):
    """Through the ReLU to the group's target, whose sum and projection on its map the first job may ask for."""
    job, identities = jobs + field(group, t.FIRST) * t.JOB * 8, jobs + field(group, t.LAST) * t.JOB * 8
    end = jobs + field(group, t.SHIFT) * t.JOB * 8
    size, height, width = field(job, t.CHANNELS_IN) * REAL, field(job, t.HEIGHT), field(job, t.WIDTH)
    step = map_size(lanes, size)
    here = image * height * width * step
    x, target = field(job, t.X) + here, field(group, t.TARGET) + here
    mean, gain, bias = field(job, t.MEAN), field(job, t.GAIN), field(job, t.BIAS)
    addend, addend_step = field(group, t.ADDEND), field(group, t.ADDEND_STEP)
    other = addend + image * height * width * addend_step
    sums, squares = field(job, t.IMAGE_MEAN), field(job, t.IMAGE_SQUARES)
    if sums:
        sums, squares = sums + image * size, squares + image * size
        clear(lanes, sums, size)
        clear(lanes, squares, size)
    for row in range(height):
        for offset in range(0, size, vector_size(lanes)):
            bound = load(lanes, mean + offset) if mean else zeros(lanes)
            scale = load(lanes, gain + offset) if gain else zeros(lanes)
            constant = load(lanes, bias + offset) if gain else zeros(lanes)
            total = projection = zeros(lanes)
            there, at_grad = map_size(lanes, offset), grad_input + row * grad_pitch + offset
            at, added = row * width * step + there, other + row * width * addend_step + there
            if identities < end:
                rectify(lanes, at_grad, size, x + at, step, bound, width)
                for one in range(identities, end, t.JOB * 8):
                    grad_step, factor = field(one, t.GRAD_STEP), load(lanes, field(one, t.SCALE) + offset)
                    grad = field(one, t.GRAD) + (image * height + row) * width * grad_step + there
                    pass_on(lanes, at_grad, size, grad, grad_step, factor, width)
            for _ in range(width):
                value = load_map(lanes, x + at)
                if gain:
                    normed = fma(subtract(value, bound), scale, constant)
                    arrived = where_above(normed, zeros(lanes), load(lanes, at_grad))
                elif identities < end:
                    arrived = load(lanes, at_grad)
                else:
                    arrived = where_above(value, bound, load(lanes, at_grad))
                if addend:
                    arrived = add(arrived, load_map(lanes, added))
                    added += addend_step
                stream_map(lanes, target + at, arrived)
                if sums:
                    total, projection = add(total, arrived), fma(arrived, subtract(value, bound), projection)
                at += step
                at_grad += size
            if sums:
                store(sums + offset, add(load(lanes, sums + offset), total))
                store(squares + offset, add(load(lanes, squares + offset), projection))


@compiled
def rectify(lanes, grads, size, x, step, bound, pixels):
    """Zeros in gradients where x is not above the bound."""
    for _ in range(pixels):
        store(grads, where_above(load_map(lanes, x), bound, load(lanes, grads)))
        x += step
        grads += size


@compiled
def pass_on(lanes, grads, size, x, step, factor, pixels):
    """Adds what an identity passes on."""
    for _ in range(pixels):
        store(grads, fma(factor, load_map(lanes, x), load(lanes, grads)))
        x += step
        grads += size


@compiled
def clear_block(lanes, head, group, block):
    """Zeros in the block's weight gradients."""
    for index in range(field(group, t.FIRST), field(group, t.LAST)):
        job = field(head, t.JOB_TABLE) + index * t.JOB * 8
        size, kernel = field(job, t.CHANNELS_IN) * REAL, field(job, t.KERNEL)
        if field(job, t.GRAD_POINTWISE):
            length = size * field(job, t.CHANNELS_OUT) * max(field(job, t.DENSE)**2, 1)
            clear(lanes, field(job, t.GRAD_POINTWISE) + block * length, length)
            clear(lanes, field(job, t.GRAD_TAPS) + block * kernel * kernel * size, kernel * kernel * size)
