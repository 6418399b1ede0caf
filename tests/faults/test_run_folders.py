"""Run folders under faults: a sample of the campaign, and each kind of fault with the right value."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

import gdas_lite as gl
from gdas_lite.runs.checkpoint import read_checkpoint, write_checkpoint
from gdas_lite.runs.config import RunError, read_history, read_lines, seal
from gdas_lite.runs.folder import checkpoints
from tests.faults import injections as faults
from tests.faults.injections import (
    Writes,
    as_older_version,
    contents,
    is_equal,
    is_on_disk,
    make,
    resume,
    watched,
)


def test_a_sample_of_the_campaign():
    numbers = {"kills": 10, "damages": 40, "mutations": 80, "trees": 40, "encodings": 40, "seed": 5}
    words = [word for name, number in numbers.items() for word in (f"--{name}", str(number))]
    done = subprocess.run([sys.executable, "-m", "tests.faults", *words], capture_output=True, text=True,
                          env=os.environ | {"PYTHONPATH": os.getcwd()})
    line = r"injected 220, resumed equal \d+, refused in a sentence \d+, traceback 0, wrong 0\n"
    assert re.fullmatch(line, done.stdout), done.stdout + done.stderr
    assert done.returncode == 0


@pytest.mark.parametrize("halved", [False, True])
def test_a_search_goes_on_after_a_write_failed_wherever_it_was(tmp_path, halved):
    for at in range(10, faults.points("search", tmp_path) + 1, 4):
        assert faults.failing("search", tmp_path / str(at), at, times=2, halved=halved) == faults.EQUAL


def test_two_interrupts_in_a_save_wait_for_it(tmp_path):
    for at in range(12, faults.points("search", tmp_path) + 1, 6):
        assert faults.interrupted("search", tmp_path / str(at), at) == faults.EQUAL


KILLS = """
import sys
from pathlib import Path
from tests.faults import injections as faults
folder = Path(sys.argv[1])
count = faults.points("search", folder)
kills = [(at, halved) for halved in (False, True) for at in range(1 + halved, count // 2 + 4, 2)]     # the beginning and the first save
print(len(kills), [kill for kill in kills if faults.killed("search", folder / str(kill), kill[0], halved=kill[1]) != faults.EQUAL])
"""


def test_a_search_that_was_killed_at_any_write_is_gone_on_with(tmp_path):
    """Never refused, which is good enough for damage. In a process of its own, as one with more threads cannot be forked."""
    done = subprocess.run([sys.executable, "-c", KILLS, str(tmp_path)], capture_output=True, text=True, check=True,
                          env=os.environ | {"PYTHONPATH": os.getcwd(), "OMP_NUM_THREADS": "1"})
    count, others = done.stdout.split(" ", 1)
    assert int(count) > 15 and others == "[]\n"


def test_the_epoch_is_saved_when_the_second_interrupt_takes_effect(tmp_path):
    run = make("search", tmp_path)

    def strike(_point: int) -> None:
        signal.raise_signal(signal.SIGINT)

    with watched(Writes(tmp_path, strike)), pytest.raises(KeyboardInterrupt):
        run.run()
    assert run.epochs_done == 1 and len(checkpoints(tmp_path)) == 1
    run.run().close()
    assert is_on_disk("search", tmp_path)


def test_an_epoch_counts_when_it_is_saved(tmp_path):
    run = make("search", tmp_path)
    run.run_epoch()
    with watched(Writes(tmp_path, fail)), pytest.raises(RunError, match="No space left on device.*last checkpoint is still good"):
        run.run_epoch()
    assert run.epochs_done == 1 and len(checkpoints(tmp_path)) == 1
    assert run.run_epoch().epoch == 1 and run.epochs_done == 2      # saved now, not done again
    assert is_equal("search", run)
    run.run().close()
    assert is_on_disk("search", tmp_path)


def fail(_point: int) -> None:
    raise OSError(28, "No space left on device")


def test_the_last_epoch_is_not_over_before_it_is_saved(tmp_path):
    run = make("training", tmp_path)
    run.run_epoch()
    run.run_epoch()
    with watched(Writes(tmp_path, fail)), pytest.raises(RunError):
        run.run()
    assert not run.is_finished
    assert run.run().is_finished
    run.close()
    assert is_on_disk("training", tmp_path) and faults.loaded("training", tmp_path) == faults.EQUAL


@pytest.mark.parametrize("case", faults.CASES)
def test_a_finished_run_does_no_epoch_more(case):
    run = make(case, None).run()
    before = run.history[-1].to_json(), faults.state_of(run)
    with pytest.raises(RuntimeError, match=f"this {run.noun} is finished: it stopped after epoch 3 of 3$"):
        run.run_epoch()
    assert len(run.history) == 3 and run.history[-1].to_json() == before[0]
    assert all(torch.equal(value, before[1][name]) for name, value in run.tensors().items())


@pytest.fixture(scope="module")
def rests(tmp_path_factory):
    """Finished folders by (case, seed)."""
    made = {}
    for case, seed in (("search", 0), ("search", 1), ("training", 0), ("training", 1)):
        made[case, seed] = tmp_path_factory.mktemp("rests") / f"{case}-{seed}"
        make(case, made[case, seed], seed).run().close()
    return made


HISTORIES = {
    "emptied": lambda lines, other: [],
    "head only": lambda lines, other: lines[:1],
    "doubled": lambda lines, other: lines[:2] + lines[1:],
    "swapped": lambda lines, other: [lines[0], lines[2], lines[1], *lines[3:]],
    "of another seed": lambda lines, other: other,
    "a line of another seed": lambda lines, other: [*lines[:2], other[2], *lines[3:]],
    "a changed digit": lambda lines, other: [
        lines[0], re.sub(rb"0\.(\d)", lambda found: b"0.%d" % (9 - int(found[1])), lines[1], count=1), *lines[2:]],
    "a changed head": lambda lines, other: [lines[0].replace(b"{", b'{"x": 1, ', 1), *lines[1:]],
}


@pytest.mark.parametrize("way", HISTORIES)
@pytest.mark.parametrize("case", ["search", "training"])
def test_a_history_that_is_not_the_checkpoints_is_refused_and_nothing_changed(rests, tmp_path, case, way):
    folder = shutil.copytree(rests[case, 0], tmp_path / "run")
    file = folder / "history.jsonl"
    file.write_bytes(b"".join(HISTORIES[way](*((rests[case, seed] / "history.jsonl").read_bytes().splitlines(keepends=True)
                                               for seed in (0, 1)))))
    before = contents(folder)
    with pytest.raises(RunError), warnings_ignored():
        resume(case, folder)
    assert contents(folder) == before
    if case == "training":
        with pytest.raises(RunError), warnings_ignored():
            gl.export_network(folder, tmp_path / "export")


def warnings_ignored():
    import warnings
    return warnings.catch_warnings(action="ignore")


def test_a_history_that_lacks_its_end_goes_with_the_older_checkpoint(rests, tmp_path):
    folder = shutil.copytree(rests["training", 0], tmp_path / "run")
    lines = (folder / "history.jsonl").read_bytes().splitlines(keepends=True)
    (folder / "history.jsonl").write_bytes(b"".join(lines[:3]))
    with pytest.warns(UserWarning, match="2 good records, not the 3 that checkpoint-00003"):
        gl.export_network(folder, tmp_path / "export")
    record = read_history(folder / "history.jsonl")[1][1]
    assert gl.read_exported(tmp_path / "export").scores == record["evaluation"]
    with pytest.warns(UserWarning, match="checkpoint refused"):
        run = resume("training", folder)
    assert run.epochs_done == 2 and is_equal("training", run)
    run.run().close()
    assert is_on_disk("training", folder)


@pytest.mark.parametrize("is_older", [False, True])
@pytest.mark.parametrize("case", ["search", "training"])
def test_a_last_line_that_lacks_only_its_end_counts(tmp_path, case, is_older):
    run = make(case, tmp_path)
    run.run_epoch()
    run.run_epoch()
    run.close()
    if is_older:
        as_older_version(tmp_path)
    file = tmp_path / "history.jsonl"
    file.write_bytes(file.read_bytes().removesuffix(b"\n"))
    assert len(read_history(file)[1]) == 2
    again = resume(case, tmp_path)
    assert again.epochs_done == 2 and is_equal(case, again)
    again.run().close()
    assert is_on_disk(case, tmp_path)


def test_the_state_beside_the_tensors_is_under_the_checksum(rests, tmp_path):
    folder = shutil.copytree(rests["search", 0], tmp_path / "run")
    newest = checkpoints(folder)[-1]
    content = newest.read_bytes()
    assert content.count(b'\\"epochs_done\\": 3') == 1
    newest.write_bytes(content.replace(b'\\"epochs_done\\": 3', b'\\"epochs_done\\": 1'))
    with pytest.warns(UserWarning, match="does not match its checksum"):
        run = resume("search", folder)
    assert run.epochs_done == 2 and is_equal("search", run)
    run.close()


def test_the_number_in_a_name_agrees_with_the_content(rests, tmp_path):
    folder = shutil.copytree(rests["search", 0], tmp_path / "run")
    checkpoints(folder)[-1].rename(folder / "checkpoint-00099.safetensors")
    with pytest.warns(UserWarning, match="holds the state after 3 epochs, not after 99"):
        run = resume("search", folder)
    assert run.epochs_done == 2
    run.run().close()
    assert is_on_disk("search", folder)
    assert [file.name for file in checkpoints(folder)] == [f"checkpoint-0000{done}.safetensors" for done in (2, 3)]


@pytest.mark.parametrize("case", ["search", "training"])
def test_folders_of_versions_without_these_checks_stay_readable(tmp_path, case):
    run = make(case, tmp_path)
    run.run_epoch()
    run.run_epoch()
    run.close()
    as_older_version(tmp_path)
    assert b"check" not in (tmp_path / "history.jsonl").read_bytes()
    again = resume(case, tmp_path)
    assert again.epochs_done == 2 and is_equal(case, again)
    again.run().close()
    assert is_on_disk(case, tmp_path)
    again = resume(case, tmp_path)
    assert is_equal(case, again)
    again.close()


def test_a_configuration_with_a_changed_seed_is_refused_before_the_first_epoch_too(tmp_path):
    make("search", tmp_path).close()
    text = (tmp_path / "config.json").read_text()
    (tmp_path / "config.json").write_text(text.replace('"seed": 0', '"seed": 1'))
    with pytest.raises(RunError, match="config.json is damaged"):
        resume("search", tmp_path)


def test_the_same_cell_again_takes_the_folder_over(tmp_path):
    first = make("search", tmp_path)
    first.run_epoch()
    second = make("search", tmp_path)
    assert second.epochs_done == 1
    with pytest.raises(RunError, match="in use"):
        first.run_epoch()       # it does not take it back
    second.run()
    third = make("search", tmp_path)
    assert third.is_finished and is_equal("search", third)
    third.close()
    with pytest.raises(RunError, match="gone on with elsewhere, up to epoch 3"):
        first.run_epoch()


def test_a_run_at_work_does_not_give_its_folder_up(tmp_path):
    run = make("search", tmp_path)
    seen = []

    def try_it(*_place: int) -> None:
        with pytest.raises(RunError, match=r"in use by another run.*close\(\)"):
            make("search", tmp_path)
        seen.append(1)

    run.on_step = try_it
    run.run_epoch()
    run.close()
    assert seen


def test_what_killed_saves_left_is_swept_and_other_files_are_not(tmp_path):
    run = make("search", tmp_path)
    run.run_epoch()
    run.close()
    for name in (".tmpAb12Cd", "checkpoint-00002.safetensors.partial", "config.json.partial", "notes.txt", ".tmp"):
        (tmp_path / name).write_text("left")
    resume("search", tmp_path).close()
    assert {file.name for file in tmp_path.iterdir()} == {
        "config.json", "history.jsonl", "lock", "checkpoint-00001.safetensors", "notes.txt", ".tmp"}


@pytest.mark.skipif(os.name == "nt", reason="rights are otherwise there")
def test_checkpoints_have_ordinary_rights(tmp_path):
    before = os.umask(0o027)
    try:
        run = make("search", tmp_path)
        run.run_epoch()
        run.close()
    finally:
        os.umask(before)
    assert {stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir() if file.name != "lock"} == {0o640}


def test_past_epoch_99999(tmp_path):
    for number in (99_999, 100_000, 100_001):
        write_checkpoint(tmp_path / f"checkpoint-{number:05d}.safetensors", {"w": torch.zeros(1)}, {"epochs_done": number})
    assert [read_checkpoint(file)[1]["epochs_done"] for file in checkpoints(tmp_path)] == [99_999, 100_000, 100_001]


@pytest.mark.parametrize(("path", "sentence"), [
    ("", "out must be a path, got ''"), ("a\0b", "out must be a path.*null byte"),
    ("a" * 256, "cannot write the run folder.*File name too long"), ("/".join(["a"] * 3000), "File name too long")])
def test_paths_that_cannot_be(path, sentence, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises((RunError, ValueError), match=sentence) as refused:
        make("search", path)
    assert "last checkpoint" not in str(refused.value) and not any(tmp_path.iterdir())
    for read in (gl.resume, gl.load_network, gl.load_exported, gl.History.read):
        with pytest.raises((RunError, ValueError, FileNotFoundError, OSError)):
            read(path)


def test_a_tilde_is_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    make("training", "~/run").run().close()
    assert is_on_disk("training", tmp_path / "run")
    gl.resume("~/run", faults.data_of("training")).close()
    gl.export_network("~/run", "~/export")
    assert gl.load_exported("~/export").genotype == gl.load_network("~/run").genotype
    assert gl.load_cell("~/run") == gl.load_cell("~/export")


def test_a_folder_whose_name_is_not_utf8(tmp_path):
    path = tmp_path / os.fsdecode(b"caf\xe9")
    run = make("search", path)
    run.run_epoch()
    run.close()
    again = resume("search", path)
    assert is_equal("search", again)
    again.close()


def test_a_deleted_lock_is_noticed_and_taken_again(tmp_path):
    run = make("search", tmp_path)
    run.run_epoch()
    (tmp_path / "lock").unlink()
    with pytest.warns(UserWarning, match="lock in .* was deleted"):
        run.run()
    run.close()
    assert is_on_disk("search", tmp_path)


def test_behind_a_deleted_lock_another_run_is_noticed(tmp_path):
    run = make("search", tmp_path)
    run.run_epoch()
    (tmp_path / "lock").unlink()
    code = ("import sys; from pathlib import Path; from tests.faults.injections import make\n"
            "run = make('search', Path(sys.argv[1])); run.run_epoch(); print('on', flush=True); sys.stdin.read()")
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          env=os.environ | {"PYTHONPATH": os.getcwd()}) as other:
        assert other.stdout.readline() == b"on\n"
        with pytest.raises(RunError, match="in use by another run"):
            run.run_epoch()
        other.stdin.close()
    with pytest.raises(RunError, match="gone on with elsewhere, up to epoch 2"):
        run.run_epoch()


@pytest.mark.parametrize("way", ["deleted", "changed", "shorter"])
def test_a_history_that_is_lost_while_the_run_goes_on_is_written_anew(tmp_path, way):
    run = make("search", tmp_path)
    run.run_epoch()
    file = tmp_path / "history.jsonl"
    if way == "deleted":
        file.unlink()
    else:
        file.write_bytes(file.read_bytes().replace(b"0.", b"1.") if way == "changed" else b"{}\n")
    with pytest.warns(UserWarning, match="was deleted or changed while the run was going on"):
        run.run()
    run.close()
    assert is_on_disk("search", tmp_path)


def taken_away(path):
    path.rename(path.with_name("moved"))


def emptied(name):
    return lambda path: (path / name).write_bytes(b"")


def replaced(name, make_it):
    def act(path):
        (path / name).unlink()
        make_it(path / name)
    return act


@pytest.mark.parametrize("act", [
    lambda path: os.chdir(path.parent / "elsewhere"), shutil.rmtree, taken_away, lambda path: (path / "config.json").unlink(),
    emptied("config.json"), replaced("config.json", os.mkfifo), replaced("history.jsonl", os.mkfifo),
    lambda path: [file.unlink() for file in checkpoints(path)], lambda path: (path / "checkpoint-" f"{'9' * 200}.safetensors").touch()],
    ids=["chdir", "rmtree", "moved", "no config", "empty config", "config a pipe", "history a pipe", "no checkpoints", "long number"])
@pytest.mark.filterwarnings("ignore")
def test_what_befalls_a_folder_between_two_epochs_loses_nothing(tmp_path, monkeypatch, act):
    """A run by a relative path: wherever the process goes, and whatever is deleted, its folder can be gone on with."""
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    run = make("search", Path("run"))
    run.run_epoch()
    act(tmp_path / "run")
    run.run_epoch()
    run.close()
    again = resume("search", tmp_path / "run")
    assert again.epochs_done == 2 and is_equal("search", again) and not list((tmp_path / "elsewhere").iterdir())
    again.run().close()
    for file in (tmp_path / "run").glob("checkpoint-999*"):
        file.unlink()
    assert is_on_disk("search", tmp_path / "run") and is_equal("search", again)


@pytest.mark.filterwarnings("ignore:the file lock", "ignore:.*history.jsonl was deleted")
def test_a_folder_that_has_become_anothers_is_not_written_to(tmp_path):
    run, other = make("search", tmp_path / "run"), make("search", tmp_path / "other", seed=1)
    run.run_epoch()
    other.run_epoch()
    other.close()
    shutil.rmtree(tmp_path / "run")
    shutil.copytree(tmp_path / "other", tmp_path / "run")
    before = contents(tmp_path / "run")
    with pytest.warns(UserWarning, match="lock in .* was deleted"), pytest.raises(RunError, match="holds another run since"):
        run.run_epoch()
    assert contents(tmp_path / "run") == before
    shutil.rmtree(tmp_path / "run")
    with pytest.warns(UserWarning, match="config.json in .* was deleted or damaged while the run was going on"):
        run.run()
    run.close()
    assert is_on_disk("search", tmp_path / "run") and is_equal("search", run)


@pytest.mark.parametrize("made", [os.mkdir, lambda path: os.symlink("nowhere/x", path)], ids=["a folder", "a link"])
def test_a_lock_that_is_no_file_is_a_sentence(tmp_path, made):
    run = make("search", tmp_path)
    run.run_epoch()
    (tmp_path / "lock").unlink()
    made(tmp_path / "lock")
    with pytest.raises(RunError, match="cannot write the run folder"):
        run.run_epoch()
    os.rmdir(tmp_path / "lock") if (tmp_path / "lock").is_dir() else (tmp_path / "lock").unlink()
    run.run().close()
    assert is_on_disk("search", tmp_path)


def test_a_clock_that_goes_backwards_or_stands(tmp_path, monkeypatch):
    ticks = time.perf_counter
    for case, clock in (("search", lambda: -3 * ticks()), ("training", lambda: 0.0), ("text", lambda: 0.0)):
        with monkeypatch.context() as patch:
            patch.setattr(time, "perf_counter", clock)
            make(case, tmp_path / case).run().close()
        assert is_on_disk(case, tmp_path / case)
        again = resume(case, tmp_path / case)
        assert is_equal(case, again)
        again.close()


@contextmanager
def pipe(path):
    """A pipe whose readers are always brought to its end, so that who waits for it fails and does not hang."""
    os.mkfifo(path)
    is_over = threading.Event()

    def write():
        while not is_over.is_set():
            open(path, "wb").close()
    writer = threading.Thread(target=write, daemon=True)
    writer.start()
    yield path
    is_over.set()
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    writer.join()
    os.close(reader)


@pytest.mark.parametrize("name, read", [
    ("config.json", gl.resume), ("config.json", gl.load_network), ("config.json", gl.load_cell),
    ("history.jsonl", gl.History.read), ("history.jsonl", gl.load_cell), ("checkpoint-00001.safetensors", gl.resume),
    ("network.json", gl.load_exported), ("network.json", gl.load_cell), ("weights.safetensors", gl.load_exported),
    ("a.txt", lambda path: gl.load_data(path / "a.txt")), ("a.csv", lambda path: gl.tabular("digits", path / "a.csv")),
    ("a.csv", lambda path: gl.tabular("nasbench201", path / "a.csv")), ("a.png", lambda path: gl.load_cell(path / "a.png"))])
@pytest.mark.filterwarnings("ignore:checkpoint refused")
def test_a_pipe_is_not_waited_for(tmp_path, name, read):
    run = make("training" if read is gl.load_network else "search", tmp_path / "run")
    run.run_epoch()
    run.close()
    if name.startswith(("network", "weights")):
        network = gl.network(gl.zoo_genotype("all_c1x1"), channels=2, cells_per_stage=1, classes=10, image_channels=1)
        gl.export_network(network, tmp_path / "net", data=faults.data_of("search"))
    place = tmp_path / ("net" if name.startswith(("network", "weights")) else "run")
    (place / name).unlink(missing_ok=True)
    with pipe(place / name), pytest.raises((ValueError, RunError, FileNotFoundError, KeyError)) as told:
        read(place)
    assert "\n" not in str(told.value)
    with pytest.raises((ValueError, FileNotFoundError)):
        gl.load_data("/dev/zero") if name == "a.txt" else gl.tabular("nasbench201", "/dev/zero")


def test_data_of_ones_own_are_known_by_their_checksum(tmp_path, monkeypatch):
    from PIL import Image
    noise = torch.randint(0, 256, (24, 8, 8, 3), generator=torch.Generator().manual_seed(0), dtype=torch.uint8).numpy()
    for number, pixels in enumerate(noise):
        place = tmp_path / "pictures" / f"class{number % 2}" / f"{number}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(place)
    monkeypatch.chdir(tmp_path)
    recipe = gl.search_recipe("smoke", "nasbench201", "gdas", epochs=2, batch_size=4)
    run = gl.Search(gl.NASBench201(2, 1), gl.load_data("pictures", image_size=8, grey=True), gl.GDAS(), recipe=recipe, out="run")
    run.run_epoch()
    run.close()
    (tmp_path / "pictures").rename(tmp_path / "other name")
    again = gl.resume("run", "./other name")
    again.run().close()
    assert again.is_finished
    Image.fromarray(255 - noise[0]).save(tmp_path / "other name" / "class0" / "0.png")
    with pytest.raises(RunError, match="data.checksum"):
        gl.resume("run", "./other name")


def test_a_text_of_ones_own_by_another_path_and_its_default_folder(tmp_path, monkeypatch, capsys):
    from gdas_lite.reproduction.cli.main import main
    monkeypatch.chdir(tmp_path)
    (tmp_path / "corpus.txt").write_text("the cat sat on the mat\nthe dog sat on the log\n" * 300)
    words = ["search", "recurrent", "--hidden", "4", "--recipe", "smoke", "--set", "epochs=1", "--set", "batch_size=4", "--data"]
    assert main([*words, str(tmp_path / "corpus.txt")]) == 0
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["search-recurrent-gdas-corpus.txt-smoke-seed0"]
    assert main([*words, "corpus.txt"]) == 0        # the same run, finished
    (tmp_path / "sub").mkdir()
    monkeypatch.chdir(tmp_path / "sub")
    assert main(["resume", "../runs/search-recurrent-gdas-corpus.txt-smoke-seed0", "--data", "../corpus.txt"]) == 0


def test_a_line_of_the_history_is_checked_with_all_before_it(tmp_path):
    head, check = seal("", {"labels": {}})
    first, check = seal(check, {"epoch": 0, "loss": float("nan"), "many": [1e-300, 0.1]})
    second, _ = seal(check, {"epoch": 1})
    file = tmp_path / "history.jsonl"
    file.write_bytes(head + first + second)
    assert len(read_lines(file).lines) == 3 and read_lines(file).problem is None
    file.write_bytes(head + second)
    assert len(read_lines(file).lines) == 1 and "line 2" in read_lines(file).problem
    file.write_bytes(head + first + second[:9])
    assert len(read_lines(file).lines) == 2 and read_lines(file).problem is None       # not whole yet
    file.write_bytes(head + first + json.dumps({"epoch": 1}).encode() + b"\n")
    with pytest.raises(ValueError, match="line 3 is not as it was written"):
        read_history(file)


@pytest.mark.parametrize("path", ["a" * 256, "/".join(["a"] * 3000), "~/" + "ä" * 200])
def test_a_path_that_is_too_long_is_a_sentence_wherever_one_is_read(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    readers = [gl.load_data, lambda path: gl.load_data(path + ".txt"), lambda path: gl.load_data(path, streamed=True),
               lambda path: gl.load_data("cifar10", root=path), lambda path: gl.load_data("ptb", root=path),
               lambda path: gl.tabular("nasbench201", path), gl.reproduction.fill, gl.read_exported, gl.load_exported,
               lambda path: gl.predict(path, "x.png"), gl.resume, gl.load_network, gl.History.read,
               lambda path: gl.diagrams.save(gl.zoo_genotype("GDAS_V1"), path + ".svg")]
    for read in readers:
        with pytest.raises(ValueError, match=r"cannot be a path, it is too long for this system: .*, [\d,]+ bytes") as told:
            read(path)
        assert "\n" not in str(told.value) and len(str(told.value)) < 250


def test_what_is_not_ours_to_read_is_a_sentence_and_a_place_of_the_environment_is_passed_over(tmp_path, monkeypatch):
    def not_ours(asked):
        def call(path, *arguments, **options):
            if isinstance(path, (str, os.PathLike)) and "private" in str(path):
                raise PermissionError(errno.EACCES, "Permission denied", str(path))
            return asked(path, *arguments, **options)
        return call

    (tmp_path / "private").mkdir()
    for name in ("stat", "lstat", "scandir"):
        monkeypatch.setattr(os, name, not_ours(getattr(os, name)))
    path = tmp_path / "private" / "x"
    for read in (gl.load_data, lambda path: gl.load_data("cifar10", root=path), gl.read_exported, gl.resume, gl.load_network,
                 gl.load_exported, gl.History.read, lambda path: gl.predict(path, "x.png")):
        with pytest.raises(ValueError, match=r"cannot be used .Permission denied.: .*private.x"):
            read(path)
    monkeypatch.setenv("TORCH_HOME", str(path))
    for name in ("cifar10", "ptb", "imagenet"):
        with pytest.raises(FileNotFoundError, match="not found. Looked for .*private.x .TORCH_HOME"):
            gl.load_data(name, root=tmp_path)


@pytest.mark.parametrize("size", [2**40, 3_000_000])
def test_a_checkpoint_with_a_hole_is_not_read_whole(rests, tmp_path, size):
    folder = shutil.copytree(rests["training", 0], tmp_path / "run")
    os.truncate(checkpoints(folder)[-1], size)
    for cleared in (False, True):
        with pytest.warns(UserWarning, match="checkpoint-00003.safetensors is damaged or no safetensors file"):
            gl.load_network(folder)
        if not cleared:
            os.truncate(checkpoints(folder)[-1], 0)
            os.truncate(checkpoints(folder)[-1], size)
    with pytest.warns(UserWarning, match="checkpoint refused"):
        run = resume("training", folder)
    assert run.epochs_done == 2 and is_equal("training", run)
    run.close()


def test_a_checkpoint_that_is_not_ours_to_read_is_not_called_damaged(rests, tmp_path, monkeypatch):
    """Nobody starts anew, or goes on from the one before, for the lack of a right."""
    path = shutil.copytree(rests["search", 0], tmp_path / "run")
    name = checkpoints(path)[-1].name

    def denied(file):
        if Path(file).name == name:
            raise PermissionError(errno.EACCES, "Permission denied", str(file))
        return open(file, "rb")

    monkeypatch.setattr("gdas_lite.runs.checkpoint.open_file", denied)
    with pytest.raises(RunError, match="Permission denied.*the last checkpoint is still good: get the right to read"):
        resume("search", path)
