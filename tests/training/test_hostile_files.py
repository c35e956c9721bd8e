"""Files made to harm are refused in one line, quickly and in little memory, and nothing in them is executed."""

import io
import os
import resource
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from hostile_files import configurations, pickles, tensors_files
from small_dataset import options
from spnet.cli.main import main
from spnet.runs.folder import LAST, PREVIOUS
from spnet.training.sealed_checkpoints import SEAL_BYTES, seal

MOST_MB, MOST_SECONDS = 1500, 20.0  # more than the process has now, and of its time
NOWHERE = Path("/nonexistent/canary")
PICKLES, TENSORS, CONFIGURATIONS = (
    sorted(made) for made in (pickles(NOWHERE), tensors_files(), configurations(NOWHERE))
)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a file would appear if something were executed: one for all, since making the traps takes a while."""
    return tmp_path_factory.mktemp("canary") / "canary"


@pytest.fixture
def canary(place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A file that nothing makes, and memory that nothing fills."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "trap.pth").write_bytes(pickles(place)["call"])
    _, most = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MOST_MB * 2**20, most))
    started = time.process_time()
    yield place
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    assert time.process_time() - started < MOST_SECONDS
    assert not place.exists()


def assert_refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    assert main(arguments) == 2
    *others, error = capsys.readouterr().err.splitlines()
    assert error.startswith(f"spnet {arguments[0]}: error: ")
    assert len(error) < 2000
    assert not [line for line in others if not line.startswith("weights: ")]
    return error


def commands(file: Path, data: Path, folder: Path) -> list[list[str]]:
    """Every way to use a weights file."""
    train = ["train", "spnet-tiny", "--data", str(data), *options()]
    return [
        [*train, "--output", str(folder / "one"), "--weights", str(file)],
        [*train, "--output", str(folder / "two"), "--model.backbone.weights", str(file)],
        ["evaluate", str(file), "--data", str(data), "--split", "test"],
        ["convert", str(file), str(folder / "out.safetensors")],
    ]


@pytest.mark.parametrize("name", PICKLES)
def test_pickles_as_weights(
    name: str, canary: Path, small_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "hostile.ckpt"
    file.write_bytes(pickles(canary)[name])
    for command in commands(file, small_data, tmp_path):
        assert "hostile" in assert_refused(command, capsys)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["hostile.ckpt", "trap.pth"]


@pytest.mark.parametrize("name", TENSORS)
def test_tensors_that_lie(
    name: str, canary: Path, small_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "hostile.safetensors"
    file.write_bytes(tensors_files()[name])
    for command in commands(file, small_data, tmp_path):
        assert_refused(command, capsys)


@pytest.fixture(scope="module")
def stopped(small_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with a checkpoint and no weights."""
    run = tmp_path_factory.mktemp("hostile") / "run"
    assert main(["train", "spnet-tiny", "--data", str(small_data), "--output", str(run), *options()]) == 0
    (run / "weights.safetensors").unlink()
    shutil.copy(run / LAST, run / "whole.ckpt")
    return run


@pytest.mark.parametrize("name", PICKLES)
def test_pickles_to_resume(name: str, canary: Path, stopped: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A checksum is no reason to trust a file: whoever makes one can compute it."""
    content = pickles(canary)[name]
    (stopped / PREVIOUS).unlink(missing_ok=True)
    (stopped / LAST).write_bytes(with_checksum(content))
    assert str(stopped) in assert_refused(["train", "--resume", str(stopped)], capsys)


def with_checksum(content: bytes) -> bytes:
    if content[-22:-18] == b"PK\x05\x06":  # an archive says how long its comment is
        content = content[:-2] + SEAL_BYTES.to_bytes(2, "little")
    return content + seal(io.BytesIO(content), len(content))


FOREIGN: dict[str, Callable[[dict[str, Any]], object]] = {  # what a sealed checkpoint of the right tensors may hold
    "no optimizer": lambda state: {name: value for name, value in state.items() if name != "optimizer_states"},
    "no loops": lambda state: {name: value for name, value in state.items() if name != "loops"},
    "loops of words": lambda state: state | {"loops": "all of it"},
    "callbacks of numbers": lambda state: state | {"callbacks": 7},
    "optimizer of words": lambda state: state | {"optimizer_states": ["all of it"]},
    "no tensors": lambda state: state | {"state_dict": {}},
    "tensors of words": lambda state: state | {"state_dict": dict.fromkeys(state["state_dict"], "x")},
    "a version of words": lambda state: state | {"pytorch-lightning_version": "x.y"},
    "no version": lambda state: {name: value for name, value in state.items() if "version" not in name},
    "a list": list,
}


@pytest.mark.parametrize("name", FOREIGN)
def test_states_of_nothing(name: str, stopped: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (stopped / LAST).unlink(missing_ok=True)
    content: Any = FOREIGN[name](torch.load(stopped / "whole.ckpt", weights_only=True))
    stream = io.BytesIO()
    torch.save(content, stream)
    (stopped / LAST).write_bytes(with_checksum(stream.getvalue()))
    assert "checkpoint" in assert_refused(["train", "--resume", str(stopped)], capsys)


def test_what_is_no_file(
    canary: Path, small_data: Path, tmp_path: Path, stopped: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Folders, pipes, devices without an end, links to themselves."""
    (tmp_path / "folder.ckpt").mkdir()
    os.mkfifo(tmp_path / "pipe.ckpt")
    (tmp_path / "zero.ckpt").symlink_to("/dev/zero")
    (tmp_path / "loop.ckpt").symlink_to(tmp_path / "loop.ckpt")
    (tmp_path / "gone.ckpt").symlink_to(tmp_path / "nowhere")
    for file in tmp_path.glob("*.ckpt"):
        for command in commands(file, small_data, tmp_path):
            assert_refused(command, capsys)
        (stopped / LAST).unlink(missing_ok=True)
        (stopped / LAST).symlink_to(file)
        assert "has no checkpoint to resume from" in assert_refused(["train", "--resume", str(stopped)], capsys)
    (stopped / LAST).unlink()


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_configurations(
    name: str, canary: Path, small_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As a file of options, and as that of a run."""
    run = tmp_path / "run"
    (run / "checkpoints").mkdir(parents=True)
    (run / LAST).write_bytes(b"")
    (run / "config.yaml").write_text(configurations(canary)[name])
    command = [
        "train",
        "--config",
        str(run / "config.yaml"),
        "--data",
        str(small_data),
        "--output",
        str(tmp_path / "o"),
    ]
    for arguments in (command, ["train", "--resume", str(run)]):
        assert_refused(arguments, capsys)
