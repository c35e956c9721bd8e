"""What is published: the wheel holds the package and no more, installs into an empty environment, and runs there."""

import json
import os
import pkgutil
import resource
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import venv
from configparser import ConfigParser
from email.parser import HeaderParser
from pathlib import Path
from zipfile import ZipFile

import pytest
import yaml

import spnet
from marked_blocks import run_readme
from spnet.cli.main import build_parser

ROOT = Path(__file__).parents[1]
MOST_BYTES = 1_000_000
ELSEWHERE = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}  # not this source


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy, for setuptools leaves files where it builds."""
    source = tmp_path_factory.mktemp("source")
    shutil.copytree(ROOT / "src", source / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(source), str(source)]
    built = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert built.returncode == 0, built.stdout + built.stderr
    (path,) = source.glob("*.whl")
    return path


def test_the_wheel_holds_the_package_and_no_more(wheel: Path) -> None:
    """Templates, static files, types and stubs among it; no tests."""
    source = ROOT / "src" / "spnet"
    wanted = {path.relative_to(source.parent).as_posix() for path in source.rglob("*") if path.is_file()}
    with ZipFile(wheel) as content:
        names = {name for name in content.namelist() if ".dist-info/" not in name}
    assert names == {name for name in wanted if "__pycache__" not in name}
    assert {"spnet/py.typed", "spnet/__init__.pyi", "spnet/reports/templates/report.html"} <= names
    assert wheel.stat().st_size < MOST_BYTES


def test_its_metadata(wheel: Path) -> None:
    """The version stands in `spnet.__version__` alone."""
    with ZipFile(wheel) as content:
        (folder,) = {name.partition("/")[0] for name in content.namelist() if ".dist-info/" in name}
        metadata = HeaderParser().parsestr(content.read(f"{folder}/METADATA").decode())
        commands = ConfigParser()
        commands.read_string(content.read(f"{folder}/entry_points.txt").decode())
        assert f"{folder}/licenses/LICENSE" in content.namelist()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert metadata["Version"] == spnet.__version__
    assert "version" not in project
    assert metadata.get_all("Provides-Extra") == [*project["optional-dependencies"]]
    assert dict(commands["console_scripts"]) == {"spnet": "spnet.cli.main:main"}


def test_the_command_runs_from_the_wheel(wheel: Path, tmp_path: Path) -> None:
    ZipFile(wheel).extractall(tmp_path)
    command = [sys.executable, "-m", "spnet.cli.main", "--version"]
    environment = ELSEWHERE | {"PYTHONPATH": str(tmp_path)}
    ended = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stdout) == (0, f"spnet {spnet.__version__}\n"), ended.stderr


@pytest.mark.full
def test_the_first_screen_runs_in_an_environment_of_its_own(wheel: Path, tmp_path: Path) -> None:
    """README.md's commands; of the packages it needs, this environment lends its own."""
    environment = tmp_path / "environment"
    venv.create(environment, with_pip=True)
    python = environment / "bin" / "python"
    paths = sysconfig.get_paths(vars={"base": str(environment), "platbase": str(environment)})
    (Path(paths["purelib"]) / "lent.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    install = [str(python), "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", str(wheel)]
    subprocess.run(install, env=ELSEWHERE, check=True, timeout=120)
    run_readme(tmp_path, str(python), ELSEWHERE)


def test_the_image_is_made_of_what_is_there() -> None:
    """No image is built here: what the Dockerfile names exists, and `.dockerignore` lets it through."""
    lines = (ROOT / "Dockerfile").read_text().replace("\\\n", "").splitlines()
    steps = [line.split() for line in lines if line and not line.startswith("#")]
    passed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = {name for word, *words in steps if word == "COPY" for name in words[:-1]}
    assert copied == passed
    assert all((ROOT / name).exists() for name in copied)
    starts = {word: json.loads(" ".join(words)) for word, *words in steps if word in ("ENTRYPOINT", "CMD")}
    parsed = build_parser(["app"]).parse_args(starts["CMD"])
    assert (starts["ENTRYPOINT"], parsed.host) == (["spnet"], "127.0.0.1")


def test_publishing_waits_for_the_wheel_and_needs_no_password() -> None:
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "publish.yml").read_text())
    jobs = workflow["jobs"]
    assert (jobs["publish"]["needs"], jobs["try"]["needs"]) == ("try", "build")
    assert jobs["publish"]["permissions"] == {"id-token": "write"}
    assert workflow["permissions"] == {"contents": "read"}
    classifiers = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["classifiers"]
    pythons = [
        line.rpartition(" ")[2] for line in classifiers if line.startswith("Programming Language :: Python :: 3.")
    ]
    assert jobs["try"]["strategy"]["matrix"]["python"] == pythons


def test_every_module_imports_without_a_warning() -> None:
    names = [module.name for module in pkgutil.walk_packages(spnet.__path__, "spnet.")]
    command = [sys.executable, "-W", "error", "-c", f"import {', '.join(names)}"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert ended.returncode == 0, ended.stderr


def cpu_seconds(arguments: list[str]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *arguments], stdout=subprocess.DEVNULL, check=True, timeout=60)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


@pytest.mark.parametrize(
    ("arguments", "seconds"), [(["-c", "import spnet"], 0.3), (["-m", "spnet.cli.main", "--help"], 0.5)]
)
def test_it_starts_at_once(arguments: list[str], seconds: float) -> None:
    """Seconds of CPU beyond Python's own, so that a busy machine does not count; the best of three."""
    bare = min(cpu_seconds(["-c", "pass"]) for _ in range(3))
    assert min(cpu_seconds(arguments) for _ in range(3)) - bare < seconds
