"""Whole steps without the host: they are the plain steps, they ask the device nothing, and they resume.

There is no GPU here, so what would be captured as a CUDA graph runs eagerly, or as a tape: the operations of one step, recorded
and done again on the same tensors, without the Python that made them.
"""

from __future__ import annotations

from contextlib import contextmanager, nullcontext
from dataclasses import replace

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

import gdas_lite as gl
from gdas_lite.data.augment import Augmentation
from gdas_lite.relaxation import Mixture
from gdas_lite.search import captured_check
from gdas_lite.search.captured import CapturedSteps
from gdas_lite.spaces.nasbench201 import SearchCell
from gdas_lite.spaces.nasbench201_learning import ALWAYS, FIRST, REACHES_INPUT, group_of, learning

SPACE = gl.NASBench201(2, 1)
ALGORITHMS = [
    (gl.GDAS(), {"track_running_stats": True}),
    (gl.GDAS(variant="P"), {"undrawn": "skip", "redraw": False, "grad_clip_norm": None}),
    (gl.GDAS(), {"clip_scope": "weights_and_alpha", "update_order": "alpha_first", "grad_clip_norm": 0.3}),
    (gl.DARTS(1), {"nesterov": False, "track_running_stats": True, "clip_scope": "weights_and_alpha", "grad_clip_norm": 0.3}),
    (gl.DARTS(2), {}),
    (gl.RandomSearch(2, 16), {"grad_clip_norm": 0.5}),
]


@pytest.fixture(scope="module")
def digits() -> gl.ImageData:
    """Ten steps of eight images, the last of three; with augmentation."""
    data = gl.load_data("digits")
    return replace(data, train_half=data.train_half.subset(range(75)), valid_half=data.valid_half.subset(range(64)),
                   augmentation=Augmentation(1, True, 2))


def search(data, algorithm, changes=None, *, captured: bool, epochs: int = 2, **options) -> gl.Search:
    """alpha_eps: Adam divides by the gradient's size, which blows the rounding error of a gradient of zero up to a step."""
    changes = {"alpha_eps": 0.01, "alpha_learning_rate": 0.05} | (changes or {})
    space = replace(SPACE, track_running_stats=changes.pop("track_running_stats", False))
    recipe = gl.search_recipe("smoke", SPACE.name, algorithm.name, epochs=epochs, batch_size=8, **changes)
    run = gl.Search(space, data, algorithm, recipe=recipe, engine="plain", **options)
    return capture(run) if captured else run


def capture(run: gl.Search) -> gl.Search:
    """Let a search do its steps without the host, as the engine "fused" does on a GPU."""
    CapturedSteps(run.state, run.task, run.algorithm, run.space)
    return run


class Tape(TorchDispatchMode):
    """Records operations while it is active. `replay` does them again: on fresh intermediate results, in place on what was there
    before."""

    def __init__(self) -> None:
        super().__init__()
        self._done: list[tuple] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        found = func(*args, **(kwargs or {}))
        self._done.append((func, args, kwargs or {}, found))
        return found

    def replay(self) -> None:
        fresh: dict[int, torch.Tensor] = {}

        def now(value):
            return fresh.get(id(value), value) if isinstance(value, torch.Tensor) else value

        for func, args, kwargs, found in self._done:
            again = func(*tree_map(now, args), **tree_map(now, kwargs))
            for old, new in zip(tree_leaves(found), tree_leaves(again), strict=True):
                if isinstance(old, torch.Tensor):
                    fresh[id(old)] = new


class Stream:
    """A stream of a GPU that does everything at once."""

    def wait_stream(self, _other) -> None: ...
    def synchronize(self) -> None: ...


class Graph:
    """A captured CUDA graph: what is done while it is captured is recorded and has no effect, a replay has."""

    def __init__(self) -> None:
        self.tape, self.replays = Tape(), 0

    def replay(self) -> None:
        self.replays += 1
        with torch.no_grad():
            self.tape.replay()


@pytest.fixture
def on_tape(monkeypatch):
    """Lets a search run as on a GPU, with tapes for graphs."""
    def run_on_tape(run: gl.Search) -> gl.Search:
        steps = capture(run).state.captured
        steps._stream = Stream()

        @contextmanager
        def captured(graph, _pool, _stream):
            with undone(steps), graph.tape:
                yield

        monkeypatch.setattr(torch.cuda, "graph", captured)
        return run

    @contextmanager
    def undone(steps: CapturedSteps):
        kept = [(tensor, tensor.clone()) for tensor in steps.changing()]
        yield
        for tensor, value in kept:
            tensor.copy_(value)

    monkeypatch.setattr(torch.cuda, "CUDAGraph", Graph)
    monkeypatch.setattr(torch.cuda, "stream", lambda _stream: nullcontext())
    monkeypatch.setattr(torch.cuda, "current_stream", lambda _device: Stream())
    return run_on_tape


def in_double(run: gl.Search) -> gl.Search:
    run.state.supernet.double()
    for alpha in run.state.alphas.values():
        alpha.data = alpha.data.double()
    run.state.supernet.register_forward_pre_hook(lambda _, given: (given[0].double(), *given[1:]))
    return run


@pytest.mark.parametrize("algorithm, changes", ALGORITHMS, ids=lambda value: getattr(value, "name", None))
def test_captured_steps_are_those_of_the_plain_search(digits, algorithm, changes, on_tape):
    """Weights, momentum, alpha, Adam's moments, running estimates, and which weights have no momentum yet. As on a GPU two steps
    are captured and then replayed: a step is the same operations whatever was drawn. In double precision: batch norms and a
    finite difference blow rounding up, step after step. Twenty steps of GDAS, ten of the others."""
    if changes != ALGORITHMS[0][1]:
        digits = replace(digits, train_half=digits.train_half.subset(range(35)))
    plain, captured = (in_double(search(digits, algorithm, changes, captured=False)) for _ in range(2))
    start = plain.state.alphas["cell"].detach().clone()
    plain.run(), on_tape(captured).run()
    assert [(count, graph.replays) for count, graph in captured.state.captured._graphs.items()] == [
        (8, 2 * len(digits.train_half) // 8), (3, 2)]
    wanted, found = plain.tensors(), captured.tensors()
    assert wanted.keys() == found.keys()
    for name, value in wanted.items():
        torch.testing.assert_close(found[name], value, rtol=1e-6, atol=1e-7, msg=name)
    for here, there in zip(plain.history, captured.history, strict=True):
        assert there.train_loss == pytest.approx(here.train_loss, rel=1e-9)
        assert there.valid_loss == pytest.approx(here.valid_loss, rel=1e-9, nan_ok=True)
        assert (there.train_accuracy, there.learning_rate, there.tau) == (here.train_accuracy, here.learning_rate, here.tau)
    if algorithm.name != "random":
        assert (plain.state.alphas["cell"] - start).abs().max() > 0.02


class AsksNothing(TorchDispatchMode):
    """Raises where an operation would make the host wait for a GPU, or copy what the host has just made."""

    FORBIDDEN = ("_local_scalar_dense", "nonzero", "is_nonzero", "unique", "equal", "masked_select", "lift_fresh", "item")

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.__name__.split(".")[0].lstrip("_")
        if name in [forbidden.lstrip("_") for forbidden in self.FORBIDDEN] or name.startswith("unique"):
            raise AssertionError(f"a step asks the host: {func}")
        if name in ("index", "index_put") and any(one is not None and one.dtype == torch.bool for one in args[1]):
            raise AssertionError("indexing with booleans asks the host")
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("algorithm, changes", ALGORITHMS, ids=lambda value: getattr(value, "name", None))
def test_a_step_asks_the_device_nothing(digits, algorithm, changes):
    run = search(digits, algorithm, changes, captured=True)
    steps = run.state.captured
    steps.begin(0, 0, 0.025, 1.0)
    steps.step()                        # caches are filled
    with AsksNothing():
        steps.step()
    assert torch.isfinite(steps.results()[0]).all()


def test_the_plain_step_does_ask(digits):
    """What the test above looks for is there to be found."""
    steps = search(digits, gl.GDAS(), captured=False).begin_epoch()
    with pytest.raises(AssertionError, match="asks the host"), AsksNothing():
        next(steps)
    with pytest.raises(AssertionError, match="asks the host"), AsksNothing():
        torch.tensor(1.0)
    with pytest.raises(AssertionError, match="booleans"), AsksNothing():
        torch.ones(2)[torch.ones(2) > 0]


@pytest.mark.parametrize("algorithm", [gl.GDAS(), gl.DARTS(1)], ids=lambda algorithm: algorithm.name)
def test_resumed_it_is_the_uninterrupted_search_bit_for_bit(digits, algorithm, tmp_path):
    digits = replace(digits, train_half=digits.train_half.subset(range(19)))
    whole = search(digits, algorithm, captured=True, epochs=3).run()
    first = search(digits, algorithm, captured=True, epochs=3, out=tmp_path)
    first.run_epoch()

    def interrupt(epoch, step, steps):
        if (epoch, step) == (1, 2):
            raise KeyboardInterrupt

    first.on_step = interrupt
    with pytest.raises(KeyboardInterrupt):
        first.run()
    first.close()
    second = capture(gl.resume(tmp_path, data=digits, engine="plain"))
    assert second.epochs_done == 1
    second.run().close()
    first.on_step = first.folder = None                     # the folder is the other's by now
    for other in (second, first.run()):                     # first goes on in the same object
        assert whole.tensors().keys() == other.tensors().keys()
        assert [name for name, value in whole.tensors().items() if not torch.equal(value, other.tensors()[name])] == []
        assert [record.train_loss for record in whole.history] == [record.train_loss for record in other.history]


def test_warming_up_leaves_everything_as_it_was(digits):
    """What a GPU does before a capture: real steps, undone."""
    one, other = (search(digits, algorithm, captured=True) for algorithm in (gl.GDAS(), gl.GDAS()))
    chance = torch.get_rng_state()
    for run, warms_up in ((one, False), (other, True)):
        run.state.captured.begin(0, 0, 0.025, 1.0)
        for _ in range(3):
            if warms_up:
                run.state.captured.warm_up(8), run.state.captured.warm_up(3)
            run.state.captured.step()
    assert torch.equal(one.state.captured.results()[0], other.state.captured.results()[0])
    assert [name for name, value in one.tensors().items() if not torch.equal(value, other.tensors()[name])] == []
    assert torch.equal(torch.get_rng_state(), chance)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("algorithm, changes", ALGORITHMS, ids=lambda value: getattr(value, "name", None))
def test_on_a_gpu_graphs_follow_the_plain_search(digits, algorithm, changes):
    """In single precision, where rounding grows in a finite difference and in steps that are not clipped: losses of an epoch, and
    what has momentum."""
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        plain, captured = (search(digits, algorithm, changes, captured=is_captured, epochs=1, device="cuda").run()
                           for is_captured in (False, True))
    assert len(captured.state.captured._graphs) == 2
    assert plain.tensors().keys() == captured.tensors().keys()
    tolerance = 5e-2 if algorithm.name == "darts-v2" or changes.get("grad_clip_norm", 5.0) is None else 1e-3
    for name in ("train_loss", "valid_loss"):
        assert getattr(captured.history[0], name) == pytest.approx(getattr(plain.history[0], name), rel=tolerance, nan_ok=True)


def test_a_loss_that_is_not_finite_is_said(digits):
    run = search(digits, gl.GDAS(), captured=True)
    with torch.no_grad():
        run.state.supernet.classifier.weight[0, 0] = float("nan")
    with pytest.raises(FloatingPointError, match="became nan in epoch 0, step 1;"):
        run.run()


def test_the_check_that_a_gpu_must_pass(monkeypatch):
    assert captured_check.largest_error(torch.device("cpu")) < captured_check.TOLERANCE / 10
    for found, words in ((0.1, "losses differ from the plain ones by 0.1"), (float("inf"), "by inf"), (1e-6, None),
                         (RuntimeError("no graphs"), "cannot be captured here (RuntimeError: no graphs)")):
        def largest_error(_device, found=found):
            if isinstance(found, Exception):
                raise found
            return found

        captured_check.obstacle.cache_clear()
        monkeypatch.setattr(captured_check, "largest_error", largest_error)
        reason = captured_check.obstacle(torch.device("cuda"))
        assert reason is None if words is None else words in reason
    captured_check.obstacle.cache_clear()


@pytest.mark.parametrize("tracked", [False, True])
def test_the_table_of_what_learns_is_what_autograd_reaches(tracked):
    """Every group, for cells that cover each edge and operation, against gradients of the plain supernet."""
    torch.manual_seed(0)
    supernet = replace(SPACE, track_running_stats=tracked).supernet(2, 1)
    x, generator = torch.randn(3, 1, 4, 4), torch.Generator().manual_seed(1)
    for _ in range(25):
        supernet.zero_grad(set_to_none=True)
        mixtures = SPACE.random_mixtures(generator)
        supernet(x, mixtures).square().sum().backward()
        found = learning(mixtures["cell"].weights.argmax(-1)[None], exact_zero=not tracked)[0]
        for name, param in supernet.named_parameters():
            assert found[group_of(name)] == (param.grad is not None), (name, mixtures["cell"].active)


def test_groups_by_name():
    assert group_of("classifier.weight") == group_of("last_norm.bias") == ALWAYS
    assert group_of("stem.0.weight") == group_of("reductions.1.norm_a.bias") == REACHES_INPUT
    assert group_of("stages.2.4.edges.0.2.conv.weight") == FIRST
    assert group_of("stages.0.0.edges.5.3.conv.bias") == FIRST + 11


def test_a_plain_cell_takes_no_draw_on_the_device():
    """The two kinds of mixture are told apart by their type; the plain one is unchanged."""
    cell = SearchCell(2, track_running_stats=False)
    mixture = SPACE.random_mixtures(torch.Generator().manual_seed(0))["cell"]
    assert isinstance(mixture, Mixture) and cell(torch.randn(2, 2, 3, 3), mixture).shape == (2, 2, 3, 3)
