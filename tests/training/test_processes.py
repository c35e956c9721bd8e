"""`spnet train --devices 2` on the CPU: the runs of two processes, as a user starts them."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import pytest
import torch

from spnet.cli.main import main
from spnet.runs.folder import CONFIG_NAME, LAST

pytestmark = pytest.mark.skipif(torch.cuda.is_available(), reason="each process would take a GPU")
EPOCHS = 4
OPTIONS = [
    "--devices", "2", "--data.batch_size", "2", "--data.augmentation.crop_size", "96", "--data.num_workers", "0",
    "--optimizer.precision", "32-true",
]  # fmt: skip
COMMAND = ["-m", "spnet.cli.main"]
TORCHRUN = ["-m", "torch.distributed.run", "--nproc-per-node", "2", *COMMAND]
WEIGHTS = "weights.safetensors"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Enough scenes for three steps an epoch and a rest."""
    root = tmp_path_factory.mktemp("processes") / "data"
    assert main(["prepare", "synthetic", "--output", str(root), "--scenes", "13", "--identities", "4"]) == 0
    return root


def start(arguments: list[str], python: str, command: Sequence[str] = COMMAND) -> "subprocess.Popen[str]":
    environment, pipe = os.environ | {"OMP_NUM_THREADS": "1"}, subprocess.PIPE
    return subprocess.Popen(
        [python, *command, "train", *arguments], stderr=pipe, stdout=pipe, text=True, env=environment
    )


def options(data: Path, run: Path, epochs: int = EPOCHS) -> list[str]:
    return [
        "spnet-tiny", "--data", str(data), "--output", str(run), "--optimizer.epochs", str(epochs), *OPTIONS,
    ]  # fmt: skip


def wait(process: "subprocess.Popen[str]") -> tuple[int, str]:
    output = "".join(process.communicate(timeout=120))
    return process.returncode, output


@pytest.fixture(scope="module")
def finished(data: Path, preloaded: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nothing disturbed; one message for both processes."""
    run = tmp_path_factory.mktemp("runs") / "finished"
    status, output = wait(start(options(data, run), preloaded))
    assert status == 0, output
    assert output.count("weights: backbone") == output.count(f"weights: {run}") == 1
    assert "Warning" not in output
    return run


def test_torchrun_is_the_same_run(data: Path, finished: Path, preloaded: str, tmp_path: Path) -> None:
    status, output = wait(start(options(data, tmp_path / "run"), preloaded, TORCHRUN))
    assert status == 0, output
    assert (tmp_path / "run" / WEIGHTS).read_bytes() == (finished / WEIGHTS).read_bytes()


def test_a_signal_to_one_stops_all_and_the_run_goes_on(
    data: Path, finished: Path, preloaded: str, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    process = start(options(data, run), preloaded)
    _wait_for_steps(run)
    process.send_signal(signal.SIGTERM)
    status, output = wait(process)
    assert (status, output.count("go on with")) == (130, 1), output
    assert "Warning" not in output
    assert not (run / WEIGHTS).exists()
    status, output = wait(start(["--resume", str(run)], preloaded))
    assert status == 0, output
    assert (run / WEIGHTS).read_bytes() == (finished / WEIGHTS).read_bytes()


def test_other_processes_than_it_began_with_are_refused(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two share a batch, of which one alone would know half."""
    run = tmp_path / "run"
    shutil.copytree(finished, run)
    (run / WEIGHTS).unlink()
    config = (run / CONFIG_NAME).read_text()
    (run / CONFIG_NAME).write_text(config.replace("devices: 2", "devices: 1"))
    assert main(["train", "--resume", str(run)]) == 2
    assert "the checkpoint is of a run of 2 processes, this one has 1" in capsys.readouterr().err


@pytest.mark.parametrize("follower", [True, False], ids=["the second", "the first"])
def test_a_killed_process_ends_the_other_within_a_minute(
    data: Path, preloaded: str, tmp_path: Path, follower: bool
) -> None:
    run = tmp_path / "run"
    process = start(options(data, run, epochs=400), preloaded)
    _wait_for_steps(run)
    [child] = set(_processes_of(run)) - {process.pid}
    killed, other = (child, process.pid) if follower else (process.pid, child)
    os.kill(killed, signal.SIGKILL)
    killed_at = time.monotonic()
    if follower:
        assert process.wait(timeout=60) != 0
    else:
        while _lives(other):
            assert time.monotonic() - killed_at < 60
            time.sleep(0.1)
    process.communicate()


def test_a_damaged_image_of_one_ends_all_in_one_line(data: Path, preloaded: str, tmp_path: Path) -> None:
    broken = tmp_path / "data"
    shutil.copytree(data, broken)
    image = sorted((broken / "images" / "train").iterdir())[0]
    image.write_bytes(b"broken")
    status, output = wait(start(options(broken, tmp_path / "run"), preloaded))
    assert status == 2
    assert [line for line in output.splitlines() if "error" in line] == [
        f"spnet train: error: image {image} cannot be read: no known image format, or cut off in its header"
    ]
    assert "Traceback" not in output
    assert not (tmp_path / "run").exists()


def _wait_for_steps(run: Path) -> None:
    """Until an epoch is over."""
    until = time.monotonic() + 100
    while not (run / LAST).exists():
        assert time.monotonic() < until
        time.sleep(0.02)


def _processes_of(run: Path) -> Iterator[int]:
    """Those whose command names a run."""
    for command in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):  # it has ended
            if str(run) in command.read_text():
                yield int(command.parent.name)


def _lives(process: int) -> bool:
    try:
        return (Path("/proc") / str(process) / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
