"""Fields of a job of recurrent.py or words.py, int64."""

# Addresses of: SOURCES, (n, 2) int64, index and column of a predecessor; WEIGHTS, (n, 5), of the activations and their
# sum; GATES, (n, B, 2, H); STATES, (S, B, H), of the predecessors; STATE, the node's own; MASKED, STATE times MASK,
# where there is one; MOMENTS, mean, inverse standard deviation and variance, (3, H); D_STATES, (S, B, H), gradients of
# STATES; D_STATE, of STATE; D_GATES, of GATES; TERMS, (tasks, n, 5, vector), sums for dL/dw; ARRIVED, (m, B, H),
# gradients of the predecessors in ARRIVED_SOURCES before MASK, of the node that was run last. SIZE: bytes of a row (H).
# NORM: 0 none, 1 by the batch, 2 by MOMENTS as they are.
# Of LOSS: STATES, logits (TASKS, V), WIDTH bytes of them, SIZE apart; TARGETS, int64; SHARE, 1 / words of the mean, 0
# where no gradient is asked; TERMS, (TASKS, 2 vectors), loss and whether the target is the most probable.
# Of LOGITS and GRADIENTS: STATES, logits (ROWS, V); GATES, what is multiplied, (ROWS, COUNT); WEIGHTS, (units, V);
# SOURCES, (COUNT,) int64, where in them a unit's row begins, bytes; D_STATES, gradients of WEIGHTS, to which is added;
# D_GATES, (TASKS, ROWS, COUNT), of GATES, to be summed; each 0 if nobody asks. ROWS and COUNT fill fours, V three
# vectors. SCRATCH, of SCRATCH_SIZE bytes for each THREAD. The first of several JOBS says all but where things lie.
(KIND, NEXT, TASKS, JOBS, ROWS, SIZE, COUNT, SOURCES, WEIGHTS, GATES, STATES, STATE, MASKED, MASK, NORM, MOMENTS,
 D_STATES, D_STATE, D_GATES, TERMS, ARRIVED, ARRIVED_COUNT, ARRIVED_SOURCES, TARGETS, SHARE, WIDTH, SCRATCH,
 SCRATCH_SIZE, THREAD, FIELDS) = range(30)

FORWARD, BACKWARD, LOSS, LOGITS, GRADIENTS = range(5)       # kinds of a job
SUMS_OF_TERMS = 5
