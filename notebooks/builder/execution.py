"""Running a notebook from top to bottom, with a limit on the whole, and making its outputs fit to keep."""

from __future__ import annotations

import json
import os
import re
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from jupyter_client.kernelspec import KernelSpecManager
from nbclient import NotebookClient
from nbclient.exceptions import DeadKernelError
from nbformat import NotebookNode
from traitlets.config import Config

from builder.pairing import EXPECTED_ERROR, has_tag
from builder.pictures import describe

WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
# Programs' chatter about the machine, not about the lesson. All other stderr stays, and the gates refuse it.
NOISE = re.compile(r"Fontconfig (warning|error)|compiling the (kernels|loops) of ")
HEARTBEAT_S = 10
KERNEL = "gdas-lite"


def kernel_environment(own_folder: str) -> dict[str, str]:
    """A kernel's environment: nothing of the user's IPython set-up, figures inline, one hash seed."""
    environment = {key: value for key, value in os.environ.items() if key != "MPLBACKEND"}
    return {**environment, "IPYTHONDIR": own_folder, "PYTHONHASHSEED": "0"}


def execute(
    notebook: NotebookNode, folder: Path, *, limit_s: float, say: Callable[[str], None] | None = None
) -> None:
    """Run all cells in place, with `folder` as working directory; after an error `notebook` holds what ran.

    limit_s: seconds for the whole notebook. say: gets a line as each cell ends, and one every ten seconds.
    Raises nbclient's CellExecutionError (a cell failed), CellTimeoutError (over the limit), DeadKernelError,
    and KeyboardInterrupt.
    """
    end = time.monotonic() + limit_s
    progress = CellProgress(notebook, say) if say else None
    with tempfile.TemporaryDirectory(prefix="gdas-lite-kernel-") as own_folder:
        client = NotebookClient(
            notebook,
            kernel_name=KERNEL,
            config=local_sockets(own_folder),
            resources={"metadata": {"path": str(folder)}},
            timeout_func=lambda cell: max(1, int(end - time.monotonic())),
            coalesce_streams=True,
            record_timing=False,
            store_widget_state=False,
        )
        client.create_kernel_manager()
        client.km.kernel_spec_manager = KernelSpecManager(kernel_dirs=[str(kernel_folder(own_folder))])
        if progress:
            client.on_cell_execute = progress.started
            client.on_cell_executed = client.on_cell_error = progress.ended
        log = Path(own_folder, "kernel.log")  # what the kernel process itself says, apart from the cells
        try:
            with log.open("wb") as kernel_stderr:
                client.execute(env=kernel_environment(own_folder), stderr=kernel_stderr)
        except Exception as error:
            # nbclient takes Ctrl-C to itself, ends the kernel, and then stumbles over having none.
            if hasattr(client, "_async_cleanup_kernel_future"):
                raise KeyboardInterrupt from None
            if isinstance(error, DeadKernelError):
                last_words = log.read_text(encoding="utf-8", errors="replace").strip()[-2000:]
                raise DeadKernelError(
                    f"{error}: the notebook's process ended by itself. {last_words}"
                ) from None
            raise
        finally:
            if progress:
                progress.stop()


def kernel_folder(own_folder: str) -> Path:
    """Describes the kernel: this Python, or the one that the environment variable GDAS_LITE_KERNEL names."""
    python = os.environ.get("GDAS_LITE_KERNEL", sys.executable)
    place = Path(own_folder, "kernels")
    (place / KERNEL).mkdir(parents=True)
    spec = {"argv": [python, "-m", "ipykernel_launcher", "-f", "{connection_file}"], "display_name": KERNEL,
            "language": "python"}
    (place / KERNEL / "kernel.json").write_text(json.dumps(spec), encoding="utf-8")
    return place


def local_sockets(own_folder: str) -> Config:
    """Talk to the kernel over files in `own_folder`: one on TCP warns at each start that others could listen."""
    config = Config()
    if os.name != "nt":
        config.KernelManager.transport = "ipc"
        config.KernelManager.ip = os.path.join(own_folder, "socket")
    return config


class CellProgress:
    """Tells which cell runs and for how long; of a slow cell also the newest line that it has shown."""

    def __init__(self, notebook: NotebookNode, say: Callable[[str], None]) -> None:
        self.cells, self.say = notebook.cells, say
        self.total = sum(cell.cell_type == "code" for cell in self.cells)
        self.number = 0
        self.over = threading.Event()
        self.over.set()

    def started(self, cell: NotebookNode, cell_index: int) -> None:
        self.number += 1
        self.title, self.start, self.over = (
            title_of(self.cells, cell_index),
            time.monotonic(),
            threading.Event(),
        )
        threading.Thread(target=self._heartbeat, args=(cell, self.over), daemon=True).start()

    def ended(self, cell: NotebookNode, cell_index: int, execute_reply: dict) -> None:
        if not self.over.is_set():  # an error is told twice: once as such, once as executed
            self.over.set()
            as_meant = execute_reply["content"]["status"] == "ok" or has_tag(cell, EXPECTED_ERROR)
            outcome = "" if as_meant else "  FAILED"
            self.say(f"{self._head()}  {time.monotonic() - self.start:.1f} s{outcome}")

    def stop(self) -> None:
        self.over.set()

    def _head(self) -> str:
        return f"[{self.number:>{len(str(self.total))}}/{self.total}] {self.title:<60}"

    def _heartbeat(self, cell: NotebookNode, over: threading.Event) -> None:
        while not over.wait(HEARTBEAT_S):
            self.say(
                f"{self._head()}  {time.monotonic() - self.start:.0f} s so far  {newest_line(cell)}".rstrip()
            )


def title_of(cells: list[NotebookNode], index: int) -> str:
    """What to call a code cell: the last heading above it, else its own first line."""
    for cell in reversed(cells[:index]):
        if cell.cell_type == "markdown":
            headings = [line.lstrip("# ") for line in cell.source.splitlines() if line.startswith("#")]
            if headings:
                return headings[-1][:60]
    return cells[index].source.partition("\n")[0].lstrip("# ")[:60]


def newest_line(cell: NotebookNode) -> str:
    """The last line of text that a running cell has shown, such as its progress; "" if none."""
    for output in reversed(list(cell.get("outputs", []))):
        text = output.get("text") or output.get("data", {}).get("text/plain", "")
        lines = "".join(text).strip().splitlines()
        if lines:
            return lines[-1][:100]
    return ""


def tidy(notebook: NotebookNode) -> None:
    """Take out what must not be kept: widgets, which need a kernel, and chatter on stderr; describe pictures."""
    notebook.metadata.pop("widgets", None)
    notebook.metadata.language_info = NotebookNode(name="python")
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = [output for output in map(_tidy_output, cell.outputs) if output is not None]
            for output in cell.outputs:
                describe(output)


def _tidy_output(output: NotebookNode) -> NotebookNode | None:
    """One output without chatter and widget view; None if nothing is left.

    A stored view of a widget shows "model not found" until its cell is run. Its pictures, if any, stay.
    """
    if output.output_type == "stream" and output.name == "stderr":
        lines = [line for line in output.text.splitlines(keepends=True) if not NOISE.match(line)]
        output.text = "".join(lines)
        return output if output.text.strip() else None
    if WIDGET_VIEW in output.get("data", {}):
        del output.data[WIDGET_VIEW]
        return output if set(output.data) - {"text/plain"} else None
    return output
