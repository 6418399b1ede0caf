"""The passes over maps that a fused cell is made of, and how threads share them. Compiled by numba.

* FORWARD (forward.py), BACKWARD (backward.py): a layer. SUM, PROJECT (sums.py): a node.
* POOL, UNPOOL (pooling.py): 3x3 pooling and its gradient. STEP: SGD.

What a launch writes depends on images and blocks of images, never on who computes it: any threads give the same bits.
"""

from . import job_table as t
from .backward import clear_block, depthwise_backward, finish_grad_input, pointwise_backward, tiles_backward
from .forward import forward_image, spread_source
from .pointers import REAL, load_number, store_number, take_number
from .pooling import pool_chunk, unpool_chunk
from .simd import fma, load, multiply, splat, store, vector_size, zeros
from .statistics import finish_backward, finish_forward, finish_pool, turn
from .sums import finish_projection, mix, project_chunk, sum_chunk
from .vector_loops import clear, compiled, field


@compiled
def convolution_chunk(lanes, head, group, first_image, last_image, block, scratch):
    """FORWARD or BACKWARD of a group on a block of images."""
    jobs, first, last = field(head, t.JOB_TABLE), field(group, t.FIRST), field(group, t.LAST)
    spread_x, depth_grad = scratch + field(head, t.AT_SPREAD), scratch
    depth, share = scratch + field(head, t.AT_DEPTH), scratch + field(head, t.AT_SHARE)
    grad_input = scratch + field(head, t.AT_GRAD_INPUT)
    is_forward, target = field(head, t.KIND) == t.FORWARD, field(group, t.TARGET)
    tiles = scratch + field(head, t.AT_TILES)
    for image in range(first_image, last_image):
        lead = jobs + first * t.JOB * 8
        grad_pitch = (field(lead, t.WIDTH) + 16) * field(lead, t.CHANNELS_IN) * REAL
        # a tile may begin a pixel before the image
        inner = grad_input + grad_pitch + field(lead, t.CHANNELS_IN) * REAL
        # the first job's gradient reaches every pixel
        fills = field(lead, t.KERNEL) != 0 and field(lead, t.EVERY) == 1
        if target and not fills:
            clear(lanes, grad_input, (field(lead, t.HEIGHT) + 6) * grad_pitch)
        every = 0
        offset = 0
        for index in range(first, last):
            job = jobs + index * t.JOB * 8
            lead_group = group if index == first else 0
            reads = is_forward or field(job, t.GRAD_POINTWISE)
            if reads and (field(job, t.EVERY) != every or field(job, t.OFFSET) != offset):
                every, offset = field(job, t.EVERY), field(job, t.OFFSET)
                spread_source(lanes, job, image, spread_x)
            if is_forward:
                forward_image(lanes, job, image, spread_x, depth, share, tiles)
            elif field(job, t.KERNEL):
                depthwise_backward(lanes, job, image, block, spread_x, depth_grad, depth, share, inner if target else 0,
                                   grad_pitch, index > first or not fills, lead_group)
            elif field(job, t.DENSE):
                tiles_backward(lanes, job, image, block, spread_x, share, inner if target else 0, grad_pitch, tiles)
            else:
                pointwise_backward(lanes, job, image, block, spread_x, share, inner if target else 0, grad_pitch,
                                   lead_group)
        if target:
            finish_grad_input(lanes, group, jobs, image, inner, grad_pitch)


@compiled
def step_chunk(lanes, group):
    """STEP of a parameter: velocity = momentum * velocity + g;
    weight += along * g + on * velocity, where g is scale * grad (none: 0) + decay * weight. SETTINGS: decay, momentum,
    along, on, scale."""
    weights, grads, velocities = field(group, t.WEIGHTS), field(group, t.GRADS), field(group, t.VELOCITIES)
    settings = field(group, t.SETTINGS)
    decay, momentum = splat(lanes, settings), splat(lanes, settings + REAL)
    along, on, scale = (splat(lanes, settings + 2 * REAL), splat(lanes, settings + 3 * REAL),
                        splat(lanes, settings + 4 * REAL))
    whole = field(group, t.LENGTH) // vector_size(lanes) * vector_size(lanes)
    for offset in range(0, whole, vector_size(lanes)):
        weight = load(lanes, weights + offset)
        slope = fma(decay, weight, multiply(scale, load(lanes, grads + offset)) if grads else zeros(lanes))
        velocity = fma(momentum, load(lanes, velocities + offset), slope)
        store(velocities + offset, velocity)
        store(weights + offset, fma(along, slope, fma(on, velocity, weight)))
    for offset in range(whole, field(group, t.LENGTH), REAL):
        weight = load_number(weights + offset)
        slope = load_number(settings) * weight
        if grads:
            slope += load_number(settings + 4 * REAL) * load_number(grads + offset)
        velocity = load_number(settings + REAL) * load_number(velocities + offset) + slope
        store_number(velocities + offset, velocity)
        store_number(weights + offset, weight + load_number(settings + 3 * REAL) * velocity
                     + load_number(settings + 2 * REAL) * slope)


@compiled
def finish(lanes, head, group, kind, blocks, images):
    """What follows when all blocks of a group are done."""
    jobs, first, last = field(head, t.JOB_TABLE), field(group, t.FIRST), field(group, t.LAST)
    if kind == t.POOL:
        finish_pool(group, images)
    elif kind == t.FORWARD:
        for index in range(first, last):
            finish_forward(jobs + index * t.JOB * 8, images)
    elif kind == t.BACKWARD:
        for index in range(first, last):
            finish_backward(lanes, jobs + index * t.JOB * 8, blocks, images, index == first)
    elif kind == t.PROJECT:
        for index in range(first, last):
            finish_projection(jobs + index * t.MAP_JOB * 8, jobs + first * t.MAP_JOB * 8, images,
                              field(group, t.SIZE) // REAL, images * field(group, t.PIXELS))


@compiled
def work(lanes, head):
    """What every thread of a launch does: draw a chunk, compute it, until there are none."""
    scratch = field(head, t.SCRATCH) + take_number(head + 8 * t.NEXT_THREAD) * field(head, t.SCRATCH_SIZE)
    blocks, images, kind = field(head, t.BLOCKS), field(head, t.IMAGES), field(head, t.KIND)
    chunks = field(head, t.GROUPS) * blocks
    if kind == t.SUM and field(field(head, t.GROUP_TABLE), t.MIXED):
        mix(head, field(head, t.GROUP_TABLE), images)
    while True:
        chunk = take_number(head + 8 * t.NEXT_CHUNK)
        if chunk >= chunks:
            break
        block = chunk % blocks
        group = field(head, t.GROUP_TABLE) + chunk // blocks * field(head, t.GROUP_STEP)
        first, last = block * images // blocks, (block + 1) * images // blocks
        if kind == t.STEP:
            step_chunk(lanes, group)
        elif kind == t.TURN:
            turn(group)
        else:
            if kind == t.SUM:
                sum_chunk(lanes, head, group, first, last, scratch)
            elif kind == t.PROJECT:
                project_chunk(lanes, head, group, first, last)
            elif kind == t.POOL:
                pool_chunk(lanes, group, first, last, scratch)
            elif kind == t.UNPOOL:
                unpool_chunk(lanes, head, group, first, last, scratch)
            else:
                if kind == t.BACKWARD:
                    clear_block(lanes, head, group, block)
                convolution_chunk(lanes, head, group, first, last, block, scratch)
            if take_number(group + 8 * t.DONE) == blocks - 1:
                finish(lanes, head, group, kind, blocks, images)
