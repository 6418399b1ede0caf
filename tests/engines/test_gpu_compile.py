"""The Triton kernels compile for a GPU, which needs none: the interpreter takes things that the compiler does not."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

if find_spec("triton") is None:
    pytest.skip("Triton is not installed: it comes with PyTorch's builds for NVIDIA GPUs on Linux", allow_module_level=True)

import triton

if tuple(map(int, triton.__version__.split(".")[:2])) < (3, 3):
    pytest.skip("compiling without a GPU is asked for in the words of Triton 3.3 and later", allow_module_level=True)

from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from gdas_lite.engines.cuda.nasbench201_kernels import backward, forward

HOPPER = GPUTarget("cuda", 90, 32)
MAPS = ("source", "z", "node", "grads", "grad", "out", "weight1", "weight3")
NUMBERS = ("pixels", "height", "width", "channels", "blocks", "splits", "blocks_each", "src", "dst")
KERNELS = [
    (forward.drawn_terms, {"IS_STORED": False, "PRECISION": "tf32"}, "fp32"),
    (forward.all_terms, {"PRECISION": "bf16"}, "bf16"),
    (forward.statistics, {"SLOTS": 1, "BLOCK_N": 64}, "fp32"),
    (forward.combine, {"SLOTS": 4}, "bf16"),
    (backward.project, {"SLOTS": 1}, "fp32"),
    (backward.norm_factors, {"SLOTS": 4, "BLOCK_N": 64}, "fp32"),
    (backward.to_node, {"SLOTS": 1, "PRECISION": "tf32"}, "fp32"),
    (backward.to_weight, {"SLOTS": 4, "PRECISION": "bf16"}, "bf16")]


@pytest.mark.parametrize("kernel, constants, kind", KERNELS, ids=lambda value: getattr(value, "__name__", None))
def test_it_compiles_for_hopper(kernel, constants, kind):
    constants = constants | {name: size for name, size in (("BLOCK_P", 64), ("BLOCK_C", 16)) if name in kernel.arg_names}

    def kind_of(name: str) -> str:
        if name in constants:
            return "constexpr"
        if name in NUMBERS or name == "epsilon":
            return "fp32" if name == "epsilon" else "i32"
        return "*i64" if name == "choice" else f"*{kind}" if name in MAPS else "*fp32"

    source = ASTSource(kernel, {name: kind_of(name) for name in kernel.arg_names},
                       {(kernel.arg_names.index(name),): value for name, value in constants.items()})
    compiled = triton.compile(source, target=HOPPER, options={"enable_fp_fusion": True, "num_stages": 2})
    assert len(compiled.asm["cubin"]) > 1000 and compiled.metadata.shared < 100_000
