"""The run folder: what is written, refused, kept and cut."""

from __future__ import annotations

import errno
import json
import math
import os
import subprocess
import sys

import pytest
import torch

from gdas_lite.runs.checkpoint import read_checkpoint, restore, write_checkpoint
from gdas_lite.runs.config import RunError, differences, fingerprint, how_loaded, read_config
from gdas_lite.runs.folder import RunFolder, checkpoints

CONFIG = {"kind": "search", "seed": 0, "recipe": {"epochs": 3, "betas": (0.5, 0.999)}}
HEAD = {"labels": {}}


def folder(path, **changes) -> RunFolder:
    return RunFolder(path, CONFIG | changes, HEAD)


def save(run: RunFolder, epochs: int) -> None:
    for done in range(1, epochs + 1):
        run.save(done, {"epoch": done - 1}, {"w": torch.full((2, 3), float(done)), "i": torch.tensor(done)}, {"x": done})


def test_round_trip_of_tensors_state_and_history(tmp_path):
    run = folder(tmp_path / "a")
    assert run.load() is None
    save(run, 3)
    tensors, state, records = run.load()
    assert torch.equal(tensors["w"], torch.full((2, 3), 3.0)) and tensors["i"].shape == ()
    assert (state["epochs_done"], state["x"], [r["epoch"] for r in records]) == (3, 3, [0, 1, 2])
    assert [file.name for file in checkpoints(run.path)] == ["checkpoint-00002.safetensors", "checkpoint-00003.safetensors"]
    assert not list(run.path.glob("*.partial"))


def test_same_configuration_goes_on_another_is_refused_by_name(tmp_path):
    save(folder(tmp_path), 1)
    folder(tmp_path).release()
    with pytest.raises(RunError, match="another configuration .seed: 0 there, 1 asked."):
        folder(tmp_path, seed=1)
    assert differences(CONFIG, CONFIG | {"recipe": {"epochs": 4}}) == [
        "recipe.betas: (0.5, 0.999) there, None asked", "recipe.epochs: 3 there, 4 asked"]


@pytest.mark.parametrize("there, asked", [(["a"], ["a", "b"]), (["a", "b"], ["a"]), ([], ["a"]), ([0.5, [1]], [0.5, [1, 2]])])
def test_of_two_lists_the_longer_one_is_another(there, asked):
    assert differences({"frozen": there}, {"frozen": asked}) == [f"frozen: {there} there, {asked} asked"]


def test_a_mean_that_another_processor_added_up_is_the_same_run(tmp_path):
    """Its last digit depends on the order of adding."""
    mean = [0.4822, 0.1]
    first = folder(tmp_path, mean=mean)
    save(first, 1)
    first.release()
    again = folder(tmp_path, mean=[math.nextafter(each, 1) for each in mean])
    assert again.load()[1]["epochs_done"] == 1
    again.release()
    with pytest.raises(RunError, match=r"another configuration \(mean: \[0.4822, 0.1\] there, \[0.4822, 0.1000001\] asked"):
        folder(tmp_path, mean=[0.4822, 0.1000001])


def test_the_head_that_a_killed_beginning_left_is_not_taken_for_that_of_another_run(tmp_path):
    folder(tmp_path).release()
    (tmp_path / "config.json").unlink()         # as if the process had died between the two files
    save(folder(tmp_path, seed=1), 1)
    assert read_config(tmp_path, is_checked=False)["seed"] == 1 and folder(tmp_path, seed=1).load()[1]["epochs_done"] == 1


@pytest.mark.parametrize("damage", ["cut in half", "empty", "one byte changed", "another format", "another run"])
def test_a_damaged_or_foreign_checkpoint_is_refused_and_the_one_before_is_used(tmp_path, damage):
    run = folder(tmp_path)
    save(run, 3)
    newest = checkpoints(tmp_path)[-1]
    content = newest.read_bytes()
    if damage == "cut in half":
        newest.write_bytes(content[:len(content) // 2])
    elif damage == "empty":
        newest.write_bytes(b"")
    elif damage == "one byte changed":
        newest.write_bytes(content[:-3] + bytes([content[-3] ^ 1]) + content[-2:])
    elif damage == "another format":
        from safetensors.torch import save_file
        save_file({"w": torch.zeros(2)}, newest)
    else:
        write_checkpoint(newest, {"w": torch.zeros(2, 3)}, {"epochs_done": 3, "config": fingerprint({"seed": 9})})
    with pytest.warns(UserWarning, match="checkpoint refused"):
        tensors, state, records = run.load()
    assert state["epochs_done"] == 2 and len(records) == 2 and tensors["w"][0, 0] == 2
    run.save(3, {"epoch": 2}, {"w": torch.ones(1)}, {})
    assert len((tmp_path / "history.jsonl").read_text().splitlines()) == 4


@pytest.mark.parametrize("old, new", [(b'"shape":[2,3]', b'"shape":[3,2]'), (b'"w":{', b'"v":{')], ids=["shape", "name"])
def test_a_header_that_was_changed_is_refused(tmp_path, old, new):
    write_checkpoint(file := tmp_path / "c.safetensors", {"w": torch.ones(2, 3)}, {})
    content = file.read_bytes()
    assert content.count(old) == 1
    file.write_bytes(content.replace(old, new))
    with pytest.raises(RunError, match="does not match its checksum"):
        read_checkpoint(file)


def test_tensors_of_another_shape_are_never_spread_over_ours():
    ours = torch.zeros(2, 3)
    for theirs in ({"w": torch.ones(3)}, {"w": torch.ones(1, 3)}, {"v": torch.ones(2, 3)}):
        with pytest.raises(RunError, match=r"the checkpoint has no w of shape \(2, 3\)"):
            restore({"w": ours}, theirs)
    assert not ours.any()


def test_a_history_that_is_whole_but_not_the_checkpoints_is_refused(tmp_path):
    """Of the same run on another machine, copied beside these checkpoints: every line is as it was written."""
    here, there = folder(tmp_path / "here"), folder(tmp_path / "there")
    save(here, 2)
    for done in (1, 2):
        there.save(done, {"epoch": done - 1, "loss": 0.5}, {"w": torch.zeros(1)}, {})
    (here.path / "history.jsonl").write_bytes((there.path / "history.jsonl").read_bytes())
    with pytest.warns(UserWarning, match="is not the history that checkpoint-0000[12]"), pytest.raises(RunError, match="none of the 2"):
        here.load()


@pytest.mark.parametrize("lost", ["config.json", "checkpoint-*"])
def test_a_history_that_has_lost_the_rest_is_not_begun_anew(tmp_path, lost):
    """Its epochs would be gone without a word."""
    run = folder(tmp_path)
    save(run, 2)
    run.release()
    for file in {*tmp_path.glob("checkpoint-*"), *tmp_path.glob(lost)}:
        file.unlink()
    before = (tmp_path / "history.jsonl").read_bytes()
    with pytest.raises(RunError, match="a history but no (checkpoint any more|config.json)"):
        folder(tmp_path).load()
    assert (tmp_path / "history.jsonl").read_bytes() == before


def test_all_checkpoints_damaged_is_an_error_and_deletes_nothing(tmp_path):
    run = folder(tmp_path)
    save(run, 2)
    for file in checkpoints(tmp_path):
        file.write_bytes(b"x")
    with pytest.warns(UserWarning), pytest.raises(RunError, match="none of the 2 checkpoints"):
        run.load()
    assert len(checkpoints(tmp_path)) == 2


def test_a_torn_or_surplus_history_line_is_cut_off(tmp_path):
    run = folder(tmp_path)
    save(run, 2)
    with open(tmp_path / "history.jsonl", "ab") as file:
        file.write(b'{"epoch": 2}\n{"epoch": ')
    _, state, records = run.load()
    assert [record["epoch"] for record in records] == [0, 1]
    run.settle()
    assert (tmp_path / "history.jsonl").read_text().count("\n") == 3


def test_a_second_process_is_refused_until_the_first_is_gone(tmp_path):
    holder = ("import sys; from gdas_lite.runs.folder import RunFolder; import json;"
              "run = RunFolder(sys.argv[1], json.loads(sys.argv[2]), {}); print('held', flush=True); sys.stdin.read()")
    process = subprocess.Popen([sys.executable, "-c", holder, str(tmp_path), json.dumps(CONFIG)], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, cwd=os.getcwd(), env=os.environ | {"PYTHONPATH": os.getcwd()})
    assert process.stdout.readline().strip() == b"held"
    with pytest.raises(RunError, match="in use by another run"):
        folder(tmp_path)
    process.kill()
    process.communicate()
    folder(tmp_path).release()


def test_a_second_run_in_the_same_process_is_refused_until_the_first_lets_go(tmp_path):
    first = folder(tmp_path)
    with pytest.raises(RunError, match="in use by another run"):
        folder(tmp_path)
    first.release()
    folder(tmp_path).release()


def test_a_full_disk_keeps_the_last_checkpoint_and_says_so(tmp_path, monkeypatch):
    run = folder(tmp_path)
    save(run, 1)

    def full(*_args, **_keywords):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(RunError, match="No space left on device; .* MiB are free there.; the last checkpoint is still good"):
        run.save(2, {"epoch": 1}, {"w": torch.ones(2)}, {})
    monkeypatch.undo()
    assert not list(tmp_path.glob("*.partial"))
    _, state, records = run.load()
    assert state["epochs_done"] == 1 and len(records) == 1


@pytest.mark.parametrize("number, cure", [
    ("EIO", "have the disk looked after"), ("EROFS", "have the disk mounted for writing"), ("EDQUOT", "quota raised"),
    ("EACCES", "get the right to read and write there"), ("EPERM", "get the right"), ("EFBIG", "ulimit -f"),
    ("EMFILE", "ulimit -n"), ("ENAMETOOLONG", "choose a shorter name"), ("ESTALE", "mend that")])
def test_what_to_do_fits_why_it_could_not_be_saved(tmp_path, monkeypatch, number, cure):
    def failing(*_args, **_keywords):
        raise OSError(getattr(errno, number), os.strerror(getattr(errno, number)))

    monkeypatch.setattr(os, "replace", failing)
    with pytest.raises(RunError) as told:
        folder(tmp_path / "new")
    assert cure in str(told.value) and str(told.value).endswith("or choose another folder")
    monkeypatch.undo()
    run = folder(tmp_path / "run")
    save(run, 1)
    monkeypatch.setattr(os, "replace", failing)
    with pytest.raises(RunError) as again:
        run.save(2, {"epoch": 1}, {"w": torch.ones(2)}, {})
    assert cure in str(again.value) and "last checkpoint is still good" in str(again.value)
    for problem in (told, again):
        assert "make room" not in str(problem.value) and "MiB" not in str(problem.value)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full on this system")
def test_a_really_full_device_gives_the_same_sentence(tmp_path):
    run = folder(tmp_path / "run")
    (tmp_path / "run" / "checkpoint-00001.safetensors.partial").symlink_to("/dev/full")
    with pytest.raises(RunError, match="No space left on device"):
        run.save(1, {"epoch": 0}, {"w": torch.ones(2)}, {})


def test_folders_that_are_no_runs(tmp_path):
    with pytest.raises(RunError, match="is no run folder"):
        read_config(tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(RunError, match="damaged"):
        read_config(tmp_path)
    (tmp_path / "config.json").unlink()
    write_checkpoint(tmp_path / "checkpoint-00001.safetensors", {"w": torch.ones(1)}, {})
    with pytest.raises(RunError, match="holds checkpoints or a history but no config.json"):
        folder(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="cannot write the run folder"):
        folder(tmp_path / "file" / "run")


def test_how_pictures_of_ones_own_were_loaded_is_known_of_older_folders_too():
    """They do not say whether in grey, but have a mean for each channel; of a named data set nothing is kept."""
    assert how_loaded({"image_size": 24, "mean": [0.5]}) == {"image_size": 24, "grey": True}
    assert how_loaded({"image_size": 24, "mean": [0.5] * 3, "name": "pets"}) == {"image_size": 24, "grey": False}
    assert how_loaded({"image_size": 24, "grey": True, "mean": [0.5]}) == {"image_size": 24, "grey": True}
    assert how_loaded({"name": "digits"}) == {}


def test_checkpoints_hold_no_pickle(tmp_path):
    write_checkpoint(tmp_path / "c.safetensors", {"w": torch.ones(1)}, {"a": 1})
    assert b"torch" not in (tmp_path / "c.safetensors").read_bytes()
    assert read_checkpoint(tmp_path / "c.safetensors")[1] == {"a": 1}
