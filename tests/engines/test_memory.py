"""Freed memory that the process keeps: a second pass over large maps asks the system for nothing. Its large pages."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from gdas_lite.engines.cpu.memory import SETTINGS

MAPS = 24
LARGE_PAGES = Path("/sys/kernel/mm/transparent_hugepage/enabled")
PROGRAM = f"""
MAPS = {MAPS}
import resource, torch
from gdas_lite.engines.cpu.memory import keep_freed_memory
kept = keep_freed_memory()
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    maps = [torch.ones(2**21) for _ in range(MAPS)]
    del maps
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
found = [faults() for _ in range(4)]
large = [line.split()[1] for line in open("/proc/self/smaps_rollup") if line.startswith("AnonHugePages")]
print(int(kept), found[-1], *large)
"""


def run(**settings: str) -> tuple[bool, int, int]:
    """Whether it keeps, page faults of the last pass and KiB in large pages, in a process of its own: the setting is
    the process's."""
    environment = {name: value for name, value in os.environ.items() if name not in SETTINGS} | settings
    done = subprocess.run([sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, check=True)
    kept, faults, large = map(int, done.stdout.split())
    return bool(kept), faults, large


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the setting is glibc's")
def test_a_second_pass_gets_the_memory_of_the_first():
    kept, faults, _ = run()
    assert kept and faults < MAPS


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc" or not LARGE_PAGES.exists() or "[madvise]" not in LARGE_PAGES.read_text(),
                    reason="Linux gives no large pages, or gives them unasked")
def test_maps_are_in_large_pages():
    """Most of them: the first ones may stand in memory that the process had before."""
    assert run()[2] > MAPS * 2**13 / 2
    assert run(MALLOC_MMAP_THRESHOLD_="65536")[2] == 0


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the setting is glibc's")
def test_a_users_own_setting_wins():
    """Here it is that every map is fetched anew: at least a page fault for each."""
    kept, faults, _ = run(MALLOC_MMAP_THRESHOLD_="65536")
    assert not kept and faults >= MAPS
