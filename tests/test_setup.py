"""The way in: run.py, and the files that say what must be installed."""

from __future__ import annotations

import ast
import copy
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

import run
from tests.smoke import missing_names

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]

# --- pyproject.toml, environment.yml, requirements.lock, Colab: one truth ---

CONDA_NAMES = {"torch": "pytorch", "graphviz": "python-graphviz", "matplotlib": "matplotlib-base"}
ONLY_CONDA = {
    "python",
    "pip",
    "graphviz",
}  # conda's `graphviz` is the dot program, in the place of the extra `draw`


def conda_disagreements(project: dict, environment: dict) -> list[str]:
    """Where environment.yml says something else than pyproject.toml."""
    wanted = {}
    extras = project["optional-dependencies"]
    for text in [*project["dependencies"], *extras["lab"], *extras["fast"]]:
        requirement = Requirement(text)
        wanted[CONDA_NAMES.get(requirement.name, requirement.name)] = requirement.specifier
    listed = [Requirement(line) for line in environment["dependencies"] if isinstance(line, str)]
    found = {requirement.name: requirement.specifier for requirement in listed}
    python = found.get("python")
    problems = [f"{name}: {wanted[name]} wanted, not listed" for name in wanted.keys() - found.keys()]
    problems += [f"{name}: listed, but no dependency" for name in found.keys() - wanted.keys() - ONLY_CONDA]
    problems += [f"{name}: missing" for name in ONLY_CONDA - found.keys()]
    problems += [
        f"{name}: {found[name]} is not {wanted[name]}"
        for name in wanted.keys() & found.keys()
        if found[name] != wanted[name]
    ]
    if python != SpecifierSet(project["requires-python"]):
        problems.append(f"python: {python} is not {project['requires-python']}")
    pip_lines = [line["pip"] for line in environment["dependencies"] if isinstance(line, dict)]
    if pip_lines != [["-e .[test]"]]:
        problems.append(f"pip: {pip_lines} does not install this package with its extra `test`")
    return problems


@pytest.fixture
def environment() -> dict:
    return yaml.safe_load((ROOT / "environment.yml").read_text())


def test_environment_yml_says_what_pyproject_says(environment):
    assert conda_disagreements(PROJECT, environment) == []
    assert environment["channels"][0] == "conda-forge"


@pytest.mark.parametrize(
    ("line", "changed", "complaint"),
    [
        ("pytorch>=2.4", "pytorch>=2.5", "pytorch: >=2.5 is not >=2.4"),
        ("pytorch>=2.4", "torch>=2.4", "pytorch: >=2.4 wanted, not listed"),
        ("jupyterlab>=4.2", "jupyterlab", "jupyterlab:  is not >=4.2"),
        ("numba>=0.61", "numba>=0.50", "numba: >=0.50 is not >=0.61"),
        ("graphviz", "seaborn", "seaborn: listed, but no dependency"),
        ("graphviz", "pip", "graphviz: missing"),
        ("python>=3.11", "python>=3.10", "python: >=3.10 is not >=3.11"),
    ],
)
def test_a_disagreement_of_environment_yml_is_seen(environment, line, changed, complaint):
    mutant = copy.deepcopy(environment)
    mutant["dependencies"][mutant["dependencies"].index(line)] = changed
    assert complaint in conda_disagreements(PROJECT, mutant)


def test_a_changed_pip_part_of_environment_yml_is_seen(environment):
    mutant = copy.deepcopy(environment)
    mutant["dependencies"][-1] = {"pip": ["gdas-lite"]}
    assert any(problem.startswith("pip:") for problem in conda_disagreements(PROJECT, mutant))


def lock_problems(lock: str, project: dict) -> list[str]:
    """Declared dependencies that the lock misses or pins outside their range; lines that are no plain pin."""
    problems, pins = [], {}
    for line in lock.splitlines():
        requirement = Requirement(line)
        if requirement.url or not str(requirement.specifier).startswith("=="):
            problems.append(f"not a pin: {line}")
        pins.setdefault(canonicalize_name(requirement.name), []).append(str(requirement.specifier)[2:])
    extras = [text for extra in project["optional-dependencies"].values() for text in extra]
    build = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]["requires"]
    for text in [*project["dependencies"], *extras, *build]:
        requirement = Requirement(text)
        versions = pins.get(canonicalize_name(requirement.name), [])
        if not versions or not all(requirement.specifier.contains(version) for version in versions):
            problems.append(f"{text}: the lock has {versions or 'none'}")
    return problems


def test_the_lock_pins_every_dependency_and_the_build_tool():
    """The build tool as well: run.py installs this package without fetching one."""
    lock = (ROOT / "requirements.lock").read_text()
    assert lock_problems(lock, PROJECT) == []
    assert "://" not in lock


def test_a_stale_lock_is_seen():
    lock = (ROOT / "requirements.lock").read_text()
    newer = copy.deepcopy(PROJECT)
    newer["dependencies"] += ["torch>=99", "einops>=0.8"]
    problems = lock_problems(lock + "foo @ file:///foo.whl\nbar>=1\n", newer)
    assert [problem.split(":")[0] for problem in problems] == [
        "not a pin",
        "not a pin",
        "torch>=99",
        "einops>=0.8",
    ]


def colab_pins() -> dict[str, str]:
    lines = (ROOT / "tests" / "constraints-colab.txt").read_text().splitlines()
    return dict(line.split("==") for line in lines if line and not line.startswith("#"))


# Core dependencies whose version in Colab's image is not recorded.
ALSO_ON_COLAB = {"scikit-learn": "is in the image", "filelock": "torch itself requires it"}


def colab_problems(dependencies: list[str], pins: dict[str, str]) -> list[str]:
    """Core dependencies that Colab lacks, or has in a version outside their range."""
    problems = []
    for requirement in map(Requirement, dependencies):
        version = pins.get(requirement.name)
        if version is None and requirement.name not in ALSO_ON_COLAB:
            problems.append(f"{requirement.name}: not on Colab")
        if version is not None and not requirement.specifier.contains(version):
            problems.append(f"{requirement}: Colab has {version}")
    return problems


def test_colab_has_what_the_package_needs():
    assert colab_problems(PROJECT["dependencies"], colab_pins()) == []
    assert SpecifierSet(PROJECT["requires-python"]).contains("3.13.15")


def test_a_dependency_that_colab_cannot_serve_is_seen():
    problems = colab_problems(["jupyterlab>=4", "ipywidgets>=8", "torch>=2.4"], colab_pins())
    assert problems == ["jupyterlab: not on Colab", "ipywidgets>=8: Colab has 7.7.1"]


def test_core_dependencies_have_floors_and_no_ceilings():
    for text in PROJECT["dependencies"]:
        operators = {specifier.operator for specifier in Requirement(text).specifier}
        assert operators == {">="}, f"{text}: a floor and nothing else"


# Names of PyTorch that it calls private, and that the oldest one of pyproject.toml has too: README, "Working on it".
PRIVATE = {"_are_functorch_transforms_active", "_foreach_add", "_foreach_add_", "_foreach_copy_", "_foreach_mul", "_foreach_norm", "_foreach_sub_",
           "_len_torch_dispatch_stack", "_linear_pointwise", "_reorder_linear_weight"}


def test_private_names_of_pytorch_are_those_that_were_tried_with_the_oldest():
    used = set()
    for file in sorted((ROOT / "gdas_lite").rglob("*.py")):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        modules = {alias.asname or alias.name for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)
                   and (getattr(node, "module", None) or node.names[0].name).split(".")[0] == "torch" for alias in node.names}
        used |= {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute) and re.match("_[a-z]", node.attr)
                 and re.split(r"\W", ast.unparse(node.value))[0] in modules}
    assert used <= PRIVATE, used - PRIVATE


def test_citation_and_licence_are_those_of_the_paper_and_the_project():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    paper = citation["preferred-citation"]
    assert citation["version"] == PROJECT["version"] and citation["license"] == PROJECT["license"] == "MIT"
    assert paper["title"] == "Searching for a Robust Neural Architecture in Four GPU Hours"
    assert [author["family-names"] for author in paper["authors"]] == ["Dong", "Yang"]
    assert (paper["year"], paper["start"], paper["end"]) == (2019, 1761, 1770)
    assert paper["identifiers"][0]["value"] == "arXiv:1910.04465"
    assert (
        (ROOT / "LICENSE").read_text().startswith("MIT License\n\nCopyright (c) 2026 gdas-lite contributors")
    )


def test_ruff_finds_nothing():
    done = subprocess.run(
        [sys.executable, "-m", "ruff", "check", "--no-cache", "--output-format=concise", "."],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


# --- run.py ---

SOURCE = (ROOT / "run.py").read_text()


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A folder with the files that the set-up reads, and run.py pointed at it; `calls` collects what it would run."""
    for name in ("requirements.lock", "pyproject.toml"):
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    paths = {
        "ROOT": tmp_path,
        "VENV": tmp_path / ".venv",
        "COLAB": tmp_path / ".colab",
        "UV_VENV": tmp_path / ".uv",
        "OUT": tmp_path / "out",
    }
    for name, path in paths.items():
        monkeypatch.setattr(run, name, path)
    monkeypatch.setattr(run, "STAMP", tmp_path / ".venv" / "gdas-lite.stamp")
    real = [name for name, value in vars(run).items() if isinstance(value, Path) and value.is_relative_to(ROOT)]
    assert real == [], "clean would remove these of the checkout itself"
    monkeypatch.setattr(run.shutil, "which", lambda name: "/usr/bin/uv")
    return tmp_path


class FakeTools:
    """Stands for uv: makes the files that uv would make, and notes each command."""

    def __init__(self, checkout, *, sync_output="", sync_status=0):
        self.commands, self.sync_output, self.sync_status = [], sync_output, sync_status
        self.checkout = checkout

    def step(self, task, command):
        command = run.words(command)
        self.commands.append(command[1:3] if command[1] == "pip" else command[1:2])
        if command[1] == "venv":
            python = run.venv_python()
            python.parent.mkdir(parents=True)
            python.touch()
            (run.VENV / "pyvenv.cfg").write_text("version_info = {}.{}.0\n".format(*sys.version_info[:2]))

    def filtered(self, command):
        offline = "--offline" in command
        self.commands.append(["sync", "--offline"] if offline else ["sync"])
        return (self.sync_status, self.sync_output)


@pytest.fixture
def tools(checkout, monkeypatch):
    tools = FakeTools(checkout)
    monkeypatch.setattr(run, "run_step", tools.step)
    monkeypatch.setattr(run, "run_filtered", tools.filtered)
    return tools


FIRST = [["venv"], ["sync"], ["pip", "install"]]


def test_setup_is_done_once(tools, capsys):
    assert run.setup() == 0
    assert tools.commands == FIRST
    said = capsys.readouterr().out
    assert "Some 6 GB come" in said and "Set-up done" in said
    assert run.setup() == 0
    assert tools.commands == FIRST and capsys.readouterr().out == ""


@pytest.mark.parametrize("name", ["requirements.lock", "pyproject.toml"])
def test_setup_runs_again_when_a_file_changes_and_keeps_the_environment(tools, checkout, capsys, name):
    run.setup()
    (checkout / name).write_text((checkout / name).read_text() + "\n")
    capsys.readouterr()
    run.setup()
    assert tools.commands == FIRST + FIRST[1:]
    said = capsys.readouterr().out
    assert "up to date" in said and "6 GB" not in said


def test_setup_makes_a_new_environment_for_another_python(tools, checkout):
    run.setup()
    (run.VENV / "pyvenv.cfg").write_text("version = 3.10.4\n")
    run.STAMP.unlink()
    run.setup()
    assert tools.commands == FIRST * 2


def test_a_home_folder_with_letters_of_another_code_page_is_no_matter(tools, checkout):
    run.setup()
    config = (run.VENV / "pyvenv.cfg").read_bytes()
    (run.VENV / "pyvenv.cfg").write_bytes("home = C:\\Users\\Zoë\n".encode("cp1252") + config)
    assert run.has_our_python()


def test_setup_that_was_stopped_is_finished_the_next_time(tools, checkout, monkeypatch, capsys):
    monkeypatch.setattr(tools, "filtered", lambda command: (_ for _ in ()).throw(KeyboardInterrupt))
    monkeypatch.setattr(run, "run_filtered", tools.filtered)
    with pytest.raises(KeyboardInterrupt):
        run.setup()
    assert not run.is_set_up()
    capsys.readouterr()
    monkeypatch.setattr(run, "run_filtered", FakeTools.filtered.__get__(tools))
    run.setup()
    assert run.is_set_up() and "Some 6 GB come" in capsys.readouterr().out


def test_setup_without_a_connection_uses_the_cache_and_else_says_one_sentence(tools):
    tools.sync_status, tools.sync_output = (
        2,
        "error: Request failed after 3 retries\n cause: error sending request for url",
    )
    with pytest.raises(SystemExit) as stopped:
        run.setup()
    assert tools.commands == [["venv"], ["sync"], ["sync", "--offline"]]
    assert "does not answer; check the internet connection" in stopped.value.code
    assert "\n" not in stopped.value.code and not run.is_set_up()


@pytest.mark.parametrize(
    ("output", "sentence"),
    [
        ("failed to write: No space left on device (os error 28)", "the disk is full"),
        ("WARNING: Retrying after connection broken by 'NewConnectionError'", "internet connection"),
        ("something else", "something else"),
    ],
)
def test_a_failure_is_explained(output, sentence):
    told = run.explain("install the packages", output)
    assert told.startswith("Could not install the packages") and sentence in told


def test_a_real_failing_step_is_explained():
    with pytest.raises(SystemExit) as stopped:
        run.run_step("greet", [sys.executable, "-c", "print('no dice'); raise SystemExit(3)"])
    assert stopped.value.code == "Could not greet; the last words were:\nno dice"


def test_progress_is_shown_without_the_list_of_packages(capsys):
    lines = [
        "Resolved 3 packages",
        "Downloading torch (800.0MiB)",
        "Installed 3 packages",
        " + torch==2.15.0",
        "error: x",
    ]
    status, output = run.run_filtered(
        [sys.executable, "-c", f"print({chr(10).join(lines)!r}); raise SystemExit(2)"]
    )
    assert status == 2 and output.splitlines() == lines
    assert capsys.readouterr().out == "  Downloading torch (800.0MiB)\n  Installed 3 packages\n"


@pytest.mark.parametrize("version", [(3, 6, 15), (3, 10, 13), (2, 7, 18)])
def test_an_old_python_gets_one_sentence(version):
    with pytest.raises(SystemExit) as stopped:
        run.check_python(version)
    assert (
        f"this is Python {version[0]}.{version[1]}:" in stopped.value.code and "\n" not in stopped.value.code
    )


@pytest.mark.parametrize("version", [(3, 11), (3, 13, 1), (4, 0)])
def test_a_new_python_may_go_on(version):
    run.check_python(version)


def test_oldest_python_is_the_one_in_pyproject():
    assert PROJECT["requires-python"] == ">={}.{}".format(*run.OLDEST_PYTHON)


def test_run_py_parses_on_an_old_python_and_needs_only_the_standard_library():
    tree = ast.parse(SOURCE, feature_version=(3, 6))
    imported = {
        alias.name.partition(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for alias in (node.names if isinstance(node, ast.Import) else [ast.alias(node.module)])
    }
    assert "__future__" not in imported and imported <= sys.stdlib_module_names
    with pytest.raises(SyntaxError):
        ast.parse("if (n := 1): pass", feature_version=(3, 6))


@pytest.mark.parametrize("missing", ["venv", "ensurepip"])
def test_a_missing_venv_module_gets_one_sentence(missing):
    with pytest.raises(SystemExit) as stopped:
        run.check_venv_module(lambda name: None if name == missing else object())
    assert "apt install python3-venv" in stopped.value.code and "\n" not in stopped.value.code


def test_without_uv_on_the_path_our_own_is_made_once(checkout, monkeypatch):
    monkeypatch.setattr(run.shutil, "which", lambda name: None)
    commands = []

    def step(task, command):
        commands.append(run.words(command))
        if "pip" in commands[-1]:
            own = run.program(run.UV_VENV, "uv")
            own.parent.mkdir(parents=True)
            own.touch()

    monkeypatch.setattr(run, "run_step", step)
    first, second = run.get_uv(), run.get_uv()
    assert first == second == run.program(checkout / ".uv", "uv")
    assert [command[1:3] for command in commands] == [["-m", "venv"], ["-m", "pip"]]
    assert commands[1][-1] == run.UV and Version(run.UV.partition("==")[2])


def test_paths_are_those_of_the_system(monkeypatch):
    assert run.program(Path("e"), "python") == Path("e", "bin", "python")
    monkeypatch.setattr(run, "os", type("Windows", (), {"name": "nt"}))
    assert run.program(Path("e"), "python") == Path("e", "Scripts", "python.exe")


def test_arguments_reach_pytest_with_and_without_the_dashes(checkout, monkeypatch):
    monkeypatch.setattr(run, "setup", lambda: 0)
    seen = []
    monkeypatch.setattr(run, "run_here", lambda command, folder: seen.append(run.words(command)[1:]) or 5)
    assert run.main(["test", "--", "-k", "foo"]) == 5
    assert run.main(["test", "-k", "foo"]) == 5
    spread = ["-n", "logical", "--maxprocesses", "4", "--dist", "loadfile"]     # a file to each core
    assert seen == [["-m", "pytest", *spread, "-k", "foo"]] * 2


def test_lab_asks_nobody_for_news(checkout, monkeypatch):
    monkeypatch.setattr(run, "setup", lambda: 0)
    seen = []
    monkeypatch.setattr(run, "run_here", lambda command, folder: seen.append(run.words(command)) or 0)
    assert run.main(["lab", "--", "--port", "9999"]) == 0
    assert {"--LabApp.news_url=None", "--LabApp.extension_manager=readonly"} <= set(seen[0])
    assert f"--ServerApp.root_dir={checkout / 'notebooks'}" in seen[0] and seen[0][-2:] == ["--port", "9999"]


def test_setup_answers_jupyterlabs_question_about_news(tools):
    run.setup()
    overrides = run.VENV / "share" / "jupyter" / "lab" / "settings" / "overrides.json"
    assert (
        json.loads(overrides.read_text())["@jupyterlab/apputils-extension:notification"]["fetchNews"]
        == "false"
    )


def test_quickstart_says_where_its_page_is(checkout, monkeypatch, capsys):
    monkeypatch.setattr(run, "setup", lambda: 0)
    monkeypatch.setattr(run, "run_here", lambda command, folder: 0)
    assert run.main(["quickstart"]) == 0
    assert (checkout / "out" / "00_quickstart.html").as_uri() in capsys.readouterr().out
    monkeypatch.setattr(run, "run_here", lambda command, folder: 1)
    assert run.main(["quickstart"]) == 1
    assert capsys.readouterr().out == ""


def test_the_colab_notebooks_run_on_a_kernel_of_their_own_without_dependencies(checkout, monkeypatch):
    commands, started = [], []
    monkeypatch.setattr(run, "setup", lambda: 0)
    monkeypatch.setattr(run, "run_step", lambda task, command: commands.append(run.words(command)))
    monkeypatch.setattr(run, "run_filtered", lambda command: commands.append(run.words(command)) or (0, ""))
    monkeypatch.setattr(run, "run_here", lambda command, folder, environment: started.append((command, environment)) or 0)
    assert run.main(["test-colab", "-x"]) == 0
    assert all(any(".colab" in word for word in command) for command in commands)
    assert [command[1] for command in commands] == ["venv", "pip", "pip"]
    assert str(checkout / "tests" / "constraints-colab.txt") in commands[1]
    assert "numba" in commands[1]       # Colab has it
    assert "--no-deps" in commands[2] and commands[2][-1] == str(checkout)
    (command, environment), = started
    assert environment["GDAS_LITE_KERNEL"] == str(run.program(checkout / ".colab", "python"))
    assert command[1:] == ["-m", "pytest", "tests/notebooks", "-k", "runs_at_the_smoke_size", "-x"]


def test_clean_removes_what_the_setup_made_and_nothing_else(checkout):
    for name in (".venv", ".colab", ".uv", "out", "runs", "data"):
        (checkout / name / "inner").mkdir(parents=True)
    assert run.main(["clean"]) == 0
    assert sorted(path.name for path in checkout.iterdir()) == [
        "data",
        "pyproject.toml",
        "requirements.lock",
        "runs",
    ]
    assert run.main(["clean"]) == 0


def test_a_mistyped_command_is_told_the_commands(capsys):
    assert run.main(["tset"]) == 2
    told = capsys.readouterr().err
    assert "no command 'tset'" in told and all(command in told for command in run.COMMANDS)


def test_help_names_every_command(capsys):
    for arguments in ([], ["help"], ["--help"]):
        assert run.main(arguments) == 0
        told = capsys.readouterr().out
        assert all(f"python3 run.py {command} " in told for command in run.COMMANDS)


@pytest.mark.parametrize("command", ["setup", "clean"])
def test_commands_without_arguments_refuse_them(command):
    with pytest.raises(SystemExit, match="takes no arguments"):
        run.main([command, "now"])


def test_the_ci_script_runs_the_readmes_command():
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    assert script.read_text().rstrip().splitlines()[-1] == "python3 run.py test"
    assert "python3 run.py test" in (ROOT / "README.md").read_text()


@pytest.fixture
def ci_machine(tmp_path):
    """Run .ci/run on a machine that has only the programs named, each a stub that notes how it was called."""
    (tmp_path / "checkout" / ".ci").mkdir(parents=True)
    script = shutil.copy(ROOT / ".ci" / "run", tmp_path / "checkout" / ".ci" / "run")
    programs, log = tmp_path / "bin", tmp_path / "log"
    programs.mkdir()
    log.touch()

    def stub(name, then="exit 0"):
        (programs / name).write_text(f'#!{shutil.which("bash")}\necho "{name} $*" >> {log}\n{then}\n')
        (programs / name).chmod(0o755)

    def run_script(*stubs, tests="exit 0"):
        for name in ("bash", "dirname", "chmod"):
            (programs / name).symlink_to(shutil.which(name))
        stub("id", "echo 0")
        stub("python3", f'echo "browser required: ${{GDAS_REQUIRE_BROWSER:-no}}"; {tests}')
        for name, then in stubs:
            stub(name, then)
        done = subprocess.run(
            [programs / "bash", script],
            env={"PATH": str(programs)},
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )
        calls = [line for line in log.read_text().splitlines() if not line.startswith("id ")]
        return done.returncode, done.stdout, calls

    run_script.programs = programs
    return run_script


def test_ci_passes_on_what_the_tests_return_and_print(ci_machine):
    assert ci_machine(("chromium", "exit 0"), ("dot", "exit 0"), tests='echo "1 failed"; exit 1') == (
        1, "browser required: 1\n1 failed\n", ["python3 run.py test"],
    )  # fmt: skip


def test_ci_fetches_the_browser_and_dot_where_there_are_none(ci_machine):
    chromium = ci_machine.programs / "chromium"
    install = f'case "$*" in *install*) echo "#!/bin/sh" > {chromium}; chmod +x {chromium};; esac'
    status, printed, calls = ci_machine(("apt-get", install))
    assert status == 0 and printed == "browser required: 1\n"
    assert [call.split()[0] for call in calls] == ["apt-get", "apt-get", "python3"]
    assert calls[1].endswith(" chromium graphviz")


def test_ci_fetches_only_what_is_missing(ci_machine):
    _, _, calls = ci_machine(("chromium", "exit 0"), ("apt-get", "exit 0"))
    assert (
        calls[1].startswith("apt-get install")
        and calls[1].endswith(" graphviz")
        and "chromium" not in calls[1]
    )


def test_ci_fails_when_a_package_cannot_be_had(ci_machine):
    status, _, calls = ci_machine(("apt-get", "exit 100"))
    assert status == 100 and "python3 run.py test" not in calls


def test_ci_goes_on_without_a_browser_where_there_is_no_apt(ci_machine):
    assert ci_machine() == (0, "browser required: no\n", ["python3 run.py test"])


def test_the_smoke_check_sees_names_that_the_installed_versions_lack(tmp_path):
    (tmp_path / "code.py").write_text(
        "from os import path\nimport numpy as np\nimport no_such_package\nfrom torch import nn\nfrom torch.nn import no_such_layer\n"
        "np.linalg.norm, nn.utils.clip_grad_norm_, nn.Linear(1, 1).weight, no_such_package.name, 'a'.join\n"
        "np.no_such_name.more, nn.utils.no_such_norm, no_such_layer.name\nfor path in ():\n    path.no_name\n")
    assert missing_names(tmp_path) == ["numpy.no_such_name", "numpy.no_such_name.more", "torch.nn.no_such_layer",
                                       "torch.nn.no_such_layer.name", "torch.nn.utils.no_such_norm"]
