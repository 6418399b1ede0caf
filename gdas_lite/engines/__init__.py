"""The same numbers, faster: engines that attach themselves to searches and trainings. An import registers them.

| engine | runs on | what it puts in place of the plain code | "auto" takes it |
|---|---|---|---|
| layers | CPU | cells with backward passes of their own | always |
| cpu | CPU, numba | kernels of cells, or loops for a small search | for large maps; small or text, if stacked or long |
| cuda | NVIDIA GPU, Triton | kernels of search cells, steps captured as CUDA graphs | never: not run on a GPU yet |

An engine's numbers agree with the plain ones to float32's rounding, not to the bit.
"""

from ..runs.engine import register
from .cpu.engine import CpuEngine
from .cuda.engine import CudaEngine
from .layers.engine import LayersEngine

for _engine in (LayersEngine(), CpuEngine(), CudaEngine()):      # "auto" looks at the last first
    register(_engine)
