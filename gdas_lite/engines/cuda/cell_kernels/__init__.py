"""Triton kernels for NVIDIA GPUs: a search cell, given as the `Graph` of the CPU kernels, or with edges whose candidate
is drawn on the device (`SampledEdge`). DARTS and GDAS are the same launches; what differs is data.

    job_table.py          a job as a row of numbers
    windows.py            functions of kernels: which pixels a tap meets
    layer_kernels.py      kernels: maps and statistics
    node_kernels.py       kernels: a node's sum, batch norm backwards
    gradient_kernels.py   kernels: through the layers to source and weights
    launch_plan.py        a pass as jobs and launches, planned once; the drawn candidate's row is picked on the device
    node_plan.py, forward_plan.py, backward_plan.py     which jobs and launches a cell is
    cell.py               the cell as one differentiable function, `CellOnGPU`

They have run in Triton's interpreter on the CPU, and Triton compiles them for compute capability 7.5 to 9.0; they have
never run on a GPU, so nothing is known of their speed there and selftest.py checks them where they are to be used.
"""
