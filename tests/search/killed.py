"""A search in a process of its own that is killed in the middle of an epoch, as by a power cut."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

CODE = """
import os, signal, sys
from dataclasses import replace
sys.path.insert(0, {root!r})
import gdas_lite as gl
from {module} import {maker} as search
data = gl.load_data("digits")
data = replace(data, train_half=data.train_half.subset(range({images})), valid_half=data.valid_half.subset(range({images})))
run = search(data, out={out!r})
run.on_step = lambda epoch, step, steps: os.kill(os.getpid(), signal.SIGKILL) if (epoch, step) == {place} else None
run.run()
"""


def kill_at(place: tuple[int, int], module: str, maker: str, images: int, out: Path) -> None:
    """Run `maker(data, out=out)` of a test module on the first images of each half; killed after (epoch, step)."""
    code = CODE.format(root=os.getcwd(), module=module, maker=maker, images=images, out=str(out), place=place)
    killed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
