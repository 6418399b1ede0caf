"""JupyterLab on a free loopback port, with configuration, settings and run files in a folder of its own."""

from __future__ import annotations

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

START_SECONDS = 120
THEMES = {"light": "JupyterLab Light", "dark": "JupyterLab Dark"}


@dataclass(frozen=True)
class Lab:
    """A running server. base: its address. root: where its notebooks lie. settings: the user's, by extension."""

    base: str
    token: str
    root: Path
    settings: Path

    def url(self, notebook: str) -> str:
        """In a workspace of its own: a shared one would open the notebook before it as well."""
        return f"{self.base}/lab/workspaces/{Path(notebook).stem}/tree/{notebook}?token={self.token}"

    def use_theme(self, theme: str) -> None:
        """For pages that are opened from now on; theme: "light" or "dark"."""
        _write_settings(self.settings, "apputils-extension/themes", {"theme": THEMES[theme]})


@contextmanager
def running_lab(folder: Path) -> Iterator[Lab]:
    """Starts JupyterLab and ends it with its kernels. Raises RuntimeError, with its log, if it does not start."""
    root, log, settings = folder / "root", folder / "lab.log", folder / "settings"
    root.mkdir(parents=True)
    # The news pop-up would lie over the page's lower right corner; this answers it beforehand. Cells outside of the window
    # stay in the page.
    _write_settings(settings, "apputils-extension/notification", {"fetchNews": "false", "checkForUpdates": False})
    _write_settings(settings, "notebook-extension/tracker", {"windowingMode": "none"})
    places = {"JUPYTER_CONFIG_DIR": "config", "JUPYTER_DATA_DIR": "data", "JUPYTER_RUNTIME_DIR": "runtime",
              "JUPYTERLAB_SETTINGS_DIR": "settings", "JUPYTERLAB_WORKSPACES_DIR": "workspaces", "IPYTHONDIR": "ipython"}
    token, port = secrets.token_hex(16), _free_port()
    env = os.environ | {name: str(folder / place) for name, place in places.items()} | {"JUPYTER_TOKEN": token}
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--ip=127.0.0.1", f"--port={port}",
               "--ServerApp.port_retries=0", f"--ServerApp.root_dir={root}", "--LabApp.news_url=None",
               "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate", "--LabApp.extension_manager=readonly"]
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        command.append("--allow-root")
    with log.open("wb") as out:     # its own process group, so that the kernels end with it
        server = subprocess.Popen(command, env=env, stdout=out, stderr=out, start_new_session=True)
    base = f"http://127.0.0.1:{port}"
    try:
        _wait(f"{base}/api/status?token={token}", server, log)
        yield Lab(base, token, root, settings)
    finally:
        server.terminate()          # it shuts its kernels down by itself
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()


def _write_settings(folder: Path, name: str, values: dict) -> None:
    file = folder / f"@jupyterlab/{name}.jupyterlab-settings"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(values))


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def _wait(address: str, server: subprocess.Popen, log: Path) -> None:
    end = time.monotonic() + START_SECONDS
    while True:
        try:
            urllib.request.urlopen(address, timeout=5).close()
            return
        except (urllib.error.URLError, OSError):
            if server.poll() is not None or time.monotonic() > end:
                raise RuntimeError("JupyterLab did not start:\n" + log.read_text()[-3000:]) from None
            time.sleep(0.2)
