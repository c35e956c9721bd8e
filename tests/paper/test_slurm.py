"""Jobs handed to a cluster: submitit's own stand-ins do them, and a pretended SLURM shows what it would be asked."""

import os
import sys
from pathlib import Path

import pytest
from toy_jobs import toy, wait_for

from spnet.errors import UserError
from spnet.paper.process_pool import Job
from spnet.paper.slurm import submit

SBATCH = """#!/bin/sh
number=$(( $(ls "{folder}" | wc -l) + 100 ))
cp "$1" "{folder}/$number"
echo "Submitted batch job $number"
"""


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A SLURM that keeps what it was asked, under its number, and does nothing."""
    programs, asked = tmp_path / "bin", tmp_path / "asked"
    programs.mkdir()
    asked.mkdir()
    for name, text in {"sbatch": SBATCH.format(folder=asked), "srun": "#!/bin/sh\n"}.items():
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    return asked


def jobs_noting(folder: Path) -> list[Job]:
    """Two jobs and a third that comes after the second."""
    commands = {name: toy("note", folder / name, "done") for name in "abc"}
    return [Job("a", commands["a"]), Job("b", commands["b"]), Job("c", commands["c"], ("b", "made before"))]


def test_processes_of_this_machine_do_them(tmp_path: Path) -> None:
    numbers = submit(jobs_noting(tmp_path), tmp_path / "logs", {"timeout_min": "2"}, cluster="local")
    assert set(numbers) == {"a", "b", "c"}
    assert len(set(numbers.values())) == 3
    for name in "abc":
        wait_for(tmp_path / name)
    assert (tmp_path / "logs").is_dir()


def test_slurm_is_asked_to_keep_the_order(cluster: Path, tmp_path: Path) -> None:
    options = {"timeout_min": "2880", "slurm_partition": "gpu", "gpus_per_node": "1", "slurm_mem": "32GB"}
    assert submit(jobs_noting(tmp_path), tmp_path / "logs", options) == {"a": "100", "b": "101", "c": "102"}
    asked = [(cluster / number).read_text().splitlines() for number in ("100", "101", "102")]
    for name, lines in zip("abc", asked, strict=True):
        assert {
            f"#SBATCH --job-name={name}",
            "#SBATCH --time=2880",
            "#SBATCH --partition=gpu",
            "#SBATCH --gpus-per-node=1",
            "#SBATCH --mem=32GB",
        } <= set(lines)
    waits = [[line for line in lines if "dependency" in line] for lines in asked]
    assert waits == [[], [], ["#SBATCH --dependency=afterok:101"]]


def test_nothing_to_submit(cluster: Path, tmp_path: Path) -> None:
    assert submit([], tmp_path / "logs", {}) == {}
    assert list(cluster.iterdir()) == []


def assert_refused(folder: Path, message: str, **options: str) -> None:
    with pytest.raises(UserError) as raised:
        submit(jobs_noting(folder), folder / "logs", options)
    assert str(raised.value).startswith(message)
    assert "\n" not in str(raised.value)


def test_without_submitit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "submitit", None)
    assert_refused(tmp_path, "submitit is not installed: pip install 'spnet[slurm]'")


def test_without_slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert_refused(tmp_path, "--slurm: Could not detect")


@pytest.mark.parametrize(
    ("option", "message"), [("colour", "Parameter 'colour' need"), ("slurm_colour", "Unknown argument")]
)
def test_an_option_that_submitit_does_not_know(option: str, message: str, cluster: Path, tmp_path: Path) -> None:
    assert_refused(tmp_path, f"--slurm: {message}", **{option: "red"})
    assert list(cluster.iterdir()) == []


def test_a_cluster_that_refuses(cluster: Path, tmp_path: Path) -> None:
    (tmp_path / "bin" / "sbatch").write_text(
        "#!/bin/sh\necho 'sbatch: error: invalid partition specified: gpu' >&2\nexit 1\n"
    )
    assert_refused(tmp_path, "--slurm: sbatch: error: invalid partition specified: gpu", slurm_partition="gpu")
