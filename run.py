#!/usr/bin/env python3
"""Everything from a plain checkout, with nothing but Python 3.11 or newer:

    python3 run.py quickstart        set up, run notebooks/00_quickstart.ipynb, write out/00_quickstart.html
    python3 run.py test              set up, run the tests (test -- -k foo: arguments for pytest)
    python3 run.py test-colab        the notebooks with the versions of tests/constraints-colab.txt, in .colab (5 GB)
    python3 run.py lab               set up, open JupyterLab (lab -- --port 9999: arguments for JupyterLab)
    python3 run.py build-notebooks   set up, build notebooks/*.ipynb from notebooks/src (--help: its options)
    python3 run.py setup             only set up: .venv gets exactly what requirements.lock lists
    python3 run.py clean             remove .venv, .colab, .uv and out
    python3 run.py help              this text

Standard library only, and it parses on Python 3.6, so that an old Python gets a sentence and no traceback.
"""

import hashlib
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

OLDEST_PYTHON = (3, 11)
UV = "uv==0.13.9"
ROOT = Path(__file__).resolve().parent
VENV, COLAB, UV_VENV, OUT = ROOT / ".venv", ROOT / ".colab", ROOT / ".uv", ROOT / "out"
STAMP = VENV / "gdas-lite.stamp"
# JupyterLab's news pop-up lies over the page's corner; answered beforehand, for this .venv only.
LAB_OVERRIDES = (
    '{"@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": false}}\n'
)
LAB_FLAGS = [
    "--LabApp.news_url=None",
    "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
    "--LabApp.extension_manager=readonly",
    "--log-level=ERROR",  # its address is shown all the same
    "--LabApp.log_level=ERROR",
]
# Packages that Colab has, in versions that do not matter to us.
COLAB_HAS = ["scikit-learn", "filelock", "pillow", "numba"]
# What uv and pip say when nothing answers.
NO_CONNECTION = (
    "error sending request",
    "dns error",
    "Failed to fetch",
    "connection broken by",
    "Network is unreachable",
)


def main(arguments):
    """Run one command line (without the program's name); return the exit status."""
    command, rest = (arguments[0] if arguments else "help"), arguments[1:]
    if rest[:1] == ["--"]:
        rest = rest[1:]
    if command in ("help", "-h", "--help"):
        print(__doc__.strip())
        return 0
    if command not in COMMANDS:
        print(
            "run.py has no command '{}'; it has: {}, help".format(command, ", ".join(COMMANDS)),
            file=sys.stderr,
        )
        return 2
    return COMMANDS[command](rest)


# --- what can be wrong with the machine: one sentence each ---


def check_python(version):
    """Stop with one sentence if `version`, such as sys.version_info, is too old."""
    if tuple(version[:2]) < OLDEST_PYTHON:
        sys.exit(
            "gdas-lite needs Python {}.{} or newer and this is Python {}.{}: start run.py with a newer one, "
            "for example `python3.12 run.py quickstart`.".format(*(OLDEST_PYTHON + tuple(version[:2])))
        )


def check_venv_module(find_spec=importlib.util.find_spec):
    """Stop with one sentence if this Python cannot make a virtual environment with pip in it."""
    if find_spec("venv") is None or find_spec("ensurepip") is None:
        sys.exit(
            "This Python has no complete venv module: install it (Debian and Ubuntu: `sudo apt install "
            "python3-venv`) or put uv on the PATH, then run this again."
        )


def explain(task, output):
    """One sentence for a failed `task` ("install the packages"); its own words only where ours do not fit."""
    if any(sign in output for sign in NO_CONNECTION):
        return (
            f"Could not {task}: the package registry does not answer; check the internet connection (behind "
            "a proxy set HTTPS_PROXY) and run this again, what has come so far is kept."
        )
    if "No space left on device" in output or "os error 28" in output or "os error 112" in output:
        return f"Could not {task}: the disk is full; free some 6 GB and run this again."
    return f"Could not {task}; the last words were:\n{output.strip()[-2000:]}"


# --- set-up ---


def setup(arguments=()):
    """Make .venv hold what requirements.lock lists, and this package; return 0. Nothing is done twice."""
    if arguments:
        sys.exit("run.py setup takes no arguments, got: {}".format(" ".join(arguments)))
    check_python(sys.version_info)
    if is_set_up():
        return 0
    start = time.time()
    announce()
    uv = get_uv()
    if not has_our_python():
        shutil.rmtree(str(VENV), ignore_errors=True)
        run_step("make .venv", [uv, "venv", "-q", "--python", sys.executable, VENV])
    sync = [uv, "pip", "sync", "--compile-bytecode", "--python", venv_python(), ROOT / "requirements.lock"]
    status, output = run_filtered(sync)
    if status and any(sign in output for sign in NO_CONNECTION):
        status, _ = run_filtered([*sync, "--offline"])  # uv's cache may hold everything
    if status:
        sys.exit(explain("install the packages", output))
    # setuptools is in the lock: no isolated build environment, so nothing more is fetched.
    local = ["--no-deps", "--no-build-isolation", "--offline", "--python", venv_python()]
    run_step("install gdas-lite itself", [uv, "pip", "install", "-q", *local, "-e", ROOT])
    overrides = VENV / "share" / "jupyter" / "lab" / "settings" / "overrides.json"
    overrides.parent.mkdir(parents=True, exist_ok=True)
    overrides.write_text(LAB_OVERRIDES)
    STAMP.write_text(fingerprint())
    print(f"Set-up done in {time.time() - start:.0f} s.", flush=True)
    return 0


def announce():
    """Say what is about to come, before it does."""
    if STAMP.exists() and has_our_python():
        print(f"Bringing {VENV} up to date with requirements.lock ...", flush=True)
        return
    print(
        f"Setting up gdas-lite in {VENV}. Some 6 GB come, nearly all of it PyTorch with its GPU libraries "
        "(on macOS and Windows about 1.5 GB). That is done once, and what uv's cache holds is not fetched again."
    )
    free_gb = shutil.disk_usage(str(ROOT)).free / 1e9
    if free_gb < 7:
        print(f"Careful: only {free_gb:.1f} GB are free on this disk.")
    sys.stdout.flush()


def fingerprint():
    """What .venv was made from; where it differs from the stamp in .venv, the set-up runs again."""
    digest = hashlib.sha256()
    for name in ("requirements.lock", "pyproject.toml"):
        digest.update((ROOT / name).read_bytes())
    digest.update("{} {}.{}".format(ROOT, *sys.version_info[:2]).encode())
    return digest.hexdigest() + "\n"


def is_set_up():
    """Whether .venv is complete and made from the present files by this Python."""
    return venv_python().exists() and STAMP.is_file() and STAMP.read_text() == fingerprint()


def has_our_python():
    """Whether .venv works and has the version of the Python that runs this."""
    config = VENV / "pyvenv.cfg"
    if not (venv_python().exists() and config.is_file()):
        return False
    fields = dict(
        line.replace(" ", "").split("=", 1)
        for line in config.read_text("utf-8", "replace").splitlines()  # a home folder may have any letters
        if "=" in line
    )
    version = fields.get("version_info", fields.get("version", ""))  # uv's name for it, venv's name for it
    return version.split(".")[:2] == [str(number) for number in sys.version_info[:2]]


def get_uv():
    """The path of uv: the one on the PATH, else our own in .uv, installed there by pip."""
    found = shutil.which("uv")
    if found:
        return found
    own = program(UV_VENV, "uv")
    if not own.exists():
        check_venv_module()
        print("Getting uv, the package installer (about 20 MB) ...", flush=True)
        run_step("make .uv", [sys.executable, "-m", "venv", "--clear", UV_VENV])
        pip = [
            program(UV_VENV, "python"),
            "-m",
            "pip",
            "install",
            "--disable-pip-version-check",
            "--retries",
            "2",
        ]
        run_step("install uv", [*pip, UV])
    return own


# --- commands ---


def quickstart(arguments):
    """Set up, execute the quick-start notebook and say where its page is."""
    start = time.time()
    setup()
    status = run_here(
        [venv_python(), "-m", "builder", "page", "00_quickstart", OUT, *arguments], ROOT / "notebooks"
    )
    if status == 0:
        page = OUT / "00_quickstart.html"
        print(f"\nDone in {time.time() - start:.0f} s. Open this page in a browser:\n  {page.as_uri()}")
        print("Next: `python3 run.py lab` opens the notebooks.")
    return status


def test(arguments):
    """Set up and run the tests, a file to each core; four at most, since each process holds PyTorch."""
    setup()
    spread = ["-n", "logical", "--maxprocesses", "4", "--dist", "loadfile"]
    return run_here([venv_python(), "-m", "pytest", *spread, *arguments], ROOT)


def test_colab(arguments):
    """Set up, and run every notebook at its smallest size on a kernel with the versions that Colab has."""
    setup()
    uv, python = get_uv(), program(COLAB, "python")
    if not python.exists():
        run_step("make .colab", [uv, "venv", "-q", "--python", sys.executable, COLAB])
    print("Bringing .colab to the versions of tests/constraints-colab.txt ...", flush=True)
    pins = [uv, "pip", "install", "--compile-bytecode", "--python", python,
            "-r", ROOT / "tests" / "constraints-colab.txt"]
    status, output = run_filtered([*pins, *COLAB_HAS])
    if status:
        sys.exit(explain("install the packages", output))
    install = [uv, "pip", "install", "-q", "--no-deps", "--python", python]
    run_step("install gdas-lite itself", [*install, "-e", ROOT])        # as on Colab: no dependencies
    kernel = dict(os.environ, GDAS_LITE_KERNEL=str(python))
    tests = ["-m", "pytest", "tests/notebooks", "-k", "runs_at_the_smoke_size", *arguments]
    return run_here([venv_python(), *tests], ROOT, kernel)


def lab(arguments):
    """Set up and open JupyterLab on the notebooks."""
    setup()
    flags = [*LAB_FLAGS, "--ServerApp.root_dir={}".format(ROOT / "notebooks")]
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        flags.append("--allow-root")
    return run_here([venv_python(), "-m", "jupyterlab", *flags, *arguments], ROOT / "notebooks")


def build_notebooks(arguments):
    """Set up and build notebooks/*.ipynb from their text sources."""
    setup()
    return run_here([venv_python(), "-m", "builder", "build", *arguments], ROOT / "notebooks")


def clean(arguments):
    """Remove what the set-up and the quick start made; nothing else."""
    if arguments:
        sys.exit("run.py clean takes no arguments, got: {}".format(" ".join(arguments)))
    for folder in (VENV, COLAB, UV_VENV, OUT):
        if folder.exists():
            print("removing", folder, flush=True)
            shutil.rmtree(str(folder))
    return 0


COMMANDS = {
    "quickstart": quickstart,
    "test": test,
    "test-colab": test_colab,
    "lab": lab,
    "build-notebooks": build_notebooks,
    "setup": setup,
    "clean": clean,
}


# --- other programs ---


def program(environment, name):
    """The path of a program inside a virtual environment, on this system."""
    return environment / "Scripts" / (name + ".exe") if os.name == "nt" else environment / "bin" / name


def venv_python():
    """The Python of .venv."""
    return program(VENV, "python")


def words(command):
    """A command as strings, for every Python and system."""
    return [str(part) for part in command]


def run_step(task, command):
    """Run a quick command silently; stop with one sentence if it fails."""
    done = subprocess.run(words(command), stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode:
        sys.exit(explain(task, done.stdout.decode("utf-8", "replace")))


def run_filtered(command):
    """Run uv, show its progress but not its list of every package; return (status, output)."""
    output = []
    with subprocess.Popen(words(command), stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as running:
        for raw in running.stdout:
            line = raw.decode("utf-8", "replace").rstrip()
            output.append(line)
            if line.lstrip().startswith(
                ("Downloading", "Downloaded", "Building", "Prepared", "Installed", "Bytecode")
            ):
                print("  " + line.strip(), flush=True)
    return running.returncode, "\n".join(output)


def run_here(command, folder, environment=None):
    """Run a command in `folder` on this terminal; return its status. Ctrl-C is its business, not ours."""
    running = subprocess.Popen(words(command), cwd=str(folder), env=environment)
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # only now: a child would inherit it
    try:
        return running.wait()
    finally:
        signal.signal(signal.SIGINT, before)


if __name__ == "__main__":
    check_python(sys.version_info)
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit("Stopped; run it again to go on where it stopped.")
