"""No sign ends a run: every command under every code page, as a redirected stdout of some system has it."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
import tokenize
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gdas_lite.reproduction.cli import tables
from gdas_lite.reproduction.cli.main import main
from gdas_lite.runs.printing import PLAIN, duration, printable, say
from gdas_lite.search.history import History
from gdas_lite.visual.widgets.screens import TerminalDisplay

ROOT = Path(__file__).resolve().parents[2]
ENCODINGS = ("ascii", "cp1252", "cp932", "cp874", "cp866", "koi8-r", "iso8859-2", "latin-1", "gb18030", "utf-16", "utf-8")
SMALL = ["--channels", "2", "--cells-per-stage", "1", "--recipe", "smoke", "--set", "batch_size=256"]
ARCH = "|nor_conv_3x3~0|+|none~0|nor_conv_3x3~1|+|skip_connect~0|none~1|none~2|"
COMMANDS = [        # in this order: later ones use what earlier ones wrote
    ["search", "nasbench201", *SMALL, "--out", "größe·ж/search"], ["resume", "größe·ж/search"],
    ["train", ARCH, *SMALL, "--set", "epochs=2", "--out", "größe·ж/training"], ["evaluate", "größe·ж/training"],
    ["export", "größe·ж/training", "größe·ж/network"], ["evaluate", "größe·ж/network"], ["info", "GDAS_V1"], ["info", ARCH],
    ["draw", ARCH, "--title", "größe·ж", "-o", "größe·ж/cell.dot"], ["zoo", "--space", "recurrent"],
    ["reproduce", "größe·ж"], ["reproduce", "--commands", "--data", "ptb"], ["bench", "GDAS on PTB"], ["doctor"],
]
REFUSED = [["info", "größe·ж?"], ["resume", "größe·ж/nothing"], ["train", ARCH, "--set", "größe=1"]]


@pytest.fixture
def own_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GDAS_LITE_DATA", raising=False)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "nothing"))
    monkeypatch.setattr(tables, "bench", lambda asked, **_: [])
    monkeypatch.setattr(tables, "table", lambda lines: ["GDAS on PTB · 3 ± 1 min"])


def run(words, encoding, monkeypatch):
    """(exit status, what it printed, errors) with both streams in an encoding, strict as Python's own."""
    streams = [io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors="strict") for _ in range(2)]
    monkeypatch.setattr(sys, "stdout", streams[0])
    monkeypatch.setattr(sys, "stderr", streams[1])
    try:
        status = main(words)
    except SystemExit as stop:
        status = stop.code
    return status, *(stream.buffer.getvalue().decode(encoding) for stream in streams)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_every_command_ends_well_and_every_refusal_is_a_sentence(encoding, own_folder, monkeypatch):
    for words in COMMANDS:
        status, printed, errors = run(words, encoding, monkeypatch)
        assert status == 0 and printed and "Traceback" not in errors, (words, printed, errors)
    assert len(History.read("größe·ж/search")) == 2
    for words in REFUSED:
        status, _, errors = run(words, encoding, monkeypatch)
        assert status == 2 and errors.startswith("gdas-lite ") and errors.count("\n") == 1, (words, errors)
    for words in (["--help"], ["search", "--help"], ["--version"]):
        status, printed, _ = run(words, encoding, monkeypatch)
        assert status == 0 and "gdas-lite" in printed
    status, _, errors = run(["search", "größe·ж"], encoding, monkeypatch)
    assert status == 2 and "invalid choice" in errors


@pytest.mark.parametrize("encoding", ["ascii", "cp932", "utf-16"])
def test_a_real_process_with_a_redirected_stdout_does_all_its_epochs(encoding, tmp_path):
    environment = {**os.environ, "PYTHONIOENCODING": encoding, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    with open(tmp_path / "log", "wb") as log:
        done = subprocess.run([sys.executable, "-m", "gdas_lite", "search", "nasbench201", *SMALL, "--set",
        "epochs=3", "--out", "run"],
                              cwd=tmp_path, env=environment, stdout=log, stderr=subprocess.PIPE)
    assert done.returncode == 0, done.stderr
    lines = (tmp_path / "log").read_bytes().decode(encoding).splitlines()
    assert sum(line.startswith("epoch ") for line in lines) == 3 and len(History.read(tmp_path / "run")) == 3


def test_a_watched_run_in_a_script_goes_on_too(monkeypatch):
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    screen = TerminalDisplay(stream)
    screen.epoch_line("epoch 1/2", "train loss 1.2 · tau 3", 5.0)
    assert stream.buffer.getvalue() == b"epoch 1/2 - train loss 1.2 - tau 3 - 5 s left\n"


def test_a_run_goes_on_where_there_is_no_stdout(monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)        # of a process started with >&-, or without a console
    screen = TerminalDisplay()
    screen.epoch_line("epoch 1/2", "train loss 1.2", 5.0)
    assert screen.stream is None


def test_what_a_stream_holds_stays_as_it_is():
    for encoding, text, printed in (("ascii", "1 ± 2 · ж", "1 +- 2 - ?"), ("cp1252", "1 ± 2 · ж", "1 ± 2 · ?"),
    ("utf-8", "ж ·", "ж ·"),
                                    ("utf-8", "a\udce9", "a?"), (None, "a\udce9", "a\udce9"), ("no such", "ж", "ж")):
        stream = type("Stream", (), {"encoding": encoding, "errors": "strict"})()
        assert printable(text, stream) == printed
    escaping = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", errors="surrogateescape")
    assert printable("a\udce9", escaping) == "a\udce9"     # Python itself gives the name's bytes back
    assert all(sign.encode("ascii") for sign in PLAIN.values())


@given(st.text(), st.sampled_from([*ENCODINGS, "iso2022_jp", "utf-7", "cp037", "hz", "big5"]))
def test_any_text_can_be_written_to_any_stream(text, encoding):
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding, newline="")
    say(text, stream)
    written = stream.buffer.getvalue().decode(encoding)
    assert written.endswith("\n") or encoding == "utf-7"
    if text.isascii() and text.isprintable() and "~" not in text:
        assert written == text + "\n"


def test_no_console_at_all(monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    say("nobody hears")


def test_nothing_else_prints():
    """`print(` and `.write(` on a text stream stand in printing.py alone; elsewhere only as text."""
    for file in (ROOT / "gdas_lite").rglob("*.py"):
        tokens = [token for token in tokenize.generate_tokens(io.StringIO(file.read_text(encoding="utf-8")).readline)
                  if token.type in (tokenize.NAME, tokenize.OP)]
        for name, after in zip(tokens, tokens[1:]):
            where = f"{file}: {name.line}"
            if name.string == "print" and after.string == "(":
                assert "json.dumps" in name.line and file.name == "tables.py", where       # to its own parent, in ASCII
            assert file.name == "printing.py" or not re.search(r"(std(out|err)|stream)\.write", name.line), where


@pytest.mark.parametrize("seconds, text", [
    (-1, "0 s"), (0.4, "0 s"), (59.4, "59 s"), (59.6, "1 min 00 s"), (80, "1 min 20 s"), (250, "4 min 10 s"), (3599.7, "1 h 00 min"),
    (7500, "2 h 05 min"), (78_000, "21 h 40 min"), (183_600, "2 d 3 h"), (3 * 86400 + 4 * 3600, "3 d 4 h")])
def test_durations_are_read_by_people(seconds, text):
    assert duration(seconds) == text
