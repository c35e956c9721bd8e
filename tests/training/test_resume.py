"""Interrupted runs: what is saved, that they go on to the bit, and what cannot go on."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from small_dataset import make_dataset, options
from spnet.cli.main import main
from spnet.files import exclusive_lock
from spnet.runs.folder import CURVES, LAST
from spnet.runs.record import RunRecord, write_record
from spnet.training import trainer as trainer_module
from spnet.training.module import TrainingModule
from spnet.types import SceneBatch

EPOCHS, EPOCH_STEPS = 3, 6


def command(data: Path, run: Path, num_workers: int = 0) -> list[str]:
    """Query-centric pre-training has everything to remember: teacher, queue, random pairs."""
    keys = options(optimizer__epochs=EPOCHS, data__num_workers=num_workers, optimizer__warmup_steps=4)
    return ["train", "spnet-tiny", "--stage", "pretrain", "--data", str(data), "--output", str(run), *keys]


@pytest.fixture(scope="module")
def uninterrupted(small_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("resume") / "run"
    assert main(command(small_data, run)) == 0
    return run


def interrupt(monkeypatch: pytest.MonkeyPatch, step: int, number: int = signal.SIGINT, times: int = 1) -> None:
    """A signal comes while the step is computed."""
    original = TrainingModule.training_step

    def training_step(self: TrainingModule, batch: SceneBatch, index: int) -> torch.Tensor:
        if self.global_step == step:
            for _ in range(times):
                os.kill(os.getpid(), number)
        return original(self, batch, index)

    monkeypatch.setattr(TrainingModule, "training_step", training_step)


def assert_same_run(first: Path, second: Path) -> None:
    """Network, teacher, memory, optimizer and curves are equal to the bit."""
    one, other = (torch.load(run / LAST, weights_only=True) for run in (first, second))
    assert one["global_step"] == other["global_step"] == EPOCHS * EPOCH_STEPS
    assert set(one["state_dict"]) == set(other["state_dict"])
    for name, value in one["state_dict"].items():
        assert torch.equal(value, other["state_dict"][name]), name
    moments = [checkpoint["optimizer_states"][0]["state"] for checkpoint in (one, other)]
    assert all(torch.equal(moments[0][row]["exp_avg"], moments[1][row]["exp_avg"]) for row in moments[0])
    assert (first / "weights.safetensors").read_bytes() == (second / "weights.safetensors").read_bytes()
    assert (first / CURVES).read_text() == (second / CURVES).read_text()


@pytest.mark.parametrize(("step", "num_workers"), [(0, 0), (EPOCH_STEPS - 1, 0), (9, 0), (9, 1)])
def test_a_resumed_run_is_the_uninterrupted_one(
    step: int,
    num_workers: int,
    uninterrupted: Path,
    small_data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = tmp_path / "run"
    before = signal.getsignal(signal.SIGINT)
    with monkeypatch.context() as patch:
        interrupt(patch, step)
        assert main(command(small_data, run, num_workers)) == 130
    printed = capsys.readouterr().err
    assert "stopping after this step; again to stop at once" in printed
    assert printed.endswith(f"spnet train: interrupted; go on with: spnet train --resume {run}\n")
    assert signal.getsignal(signal.SIGINT) is before
    assert torch.load(run / LAST, weights_only=True)["global_step"] == step + 1
    assert not (run / "weights.safetensors").exists()
    assert main(["train", "--resume", str(run)]) == 0
    if num_workers == 0:
        assert_same_run(uninterrupted, run)


def test_twice_interrupted(
    uninterrupted: Path, small_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    for step, arguments in ((3, command(small_data, run)), (13, ["train", "--resume", str(run)])):
        with monkeypatch.context() as patch:
            interrupt(patch, step, signal.SIGTERM)
            assert main(arguments) == 130
    assert main(["train", "--resume", str(run)]) == 0
    assert_same_run(uninterrupted, run)


@pytest.mark.parametrize(("step", "saved"), [(2, False), (EPOCH_STEPS + 2, True)])
def test_a_second_ctrl_c_stops_at_once(
    step: int,
    saved: bool,
    small_data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """What the last epoch saved is kept; without it nothing is left behind."""
    run, before = tmp_path / "run", signal.getsignal(signal.SIGINT)
    interrupt(monkeypatch, step, times=2)
    assert main(command(small_data, run)) == 130
    said = f"go on with: spnet train --resume {run}" if saved else "nothing is saved"
    assert capsys.readouterr().err.endswith(f"spnet train: interrupted; {said}\n")
    assert run.exists() == saved
    assert signal.getsignal(signal.SIGINT) is before


def start(arguments: list[str], python: str = sys.executable) -> "subprocess.Popen[str]":
    """`spnet` as a process group of its own."""
    return subprocess.Popen(
        [python, "-m", "spnet.cli.main", *arguments],
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        start_new_session=True,
    )


def wait_for(pattern: str, run: Path, process: "subprocess.Popen[str]") -> None:
    """Until the run has a file like this."""
    deadline = time.monotonic() + 300
    while not list(run.glob(pattern)) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_the_process_group(number: int, small_data: Path, tmp_path: Path) -> None:
    """As a terminal, `timeout` and SLURM send it: to the workers that read images, too."""
    run = tmp_path / "run"
    process = start([*command(small_data, run, num_workers=2), "--optimizer.epochs", "10000"])
    try:
        wait_for(str(CURVES), run, process)
        os.killpg(process.pid, number)
        _, errors = process.communicate(timeout=120)
    finally:
        process.kill()
    assert process.returncode == 130
    *others, last = errors.splitlines()
    assert last == f"spnet train: interrupted; go on with: spnet train --resume {run}"
    assert all(line.startswith(("weights: ", "epoch ", "stopping after this step")) for line in others), others
    assert (run / LAST).is_file()


def test_a_run_killed_before_its_first_checkpoint_starts_again(
    uninterrupted: Path, small_data: Path, preloaded: str, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    process = start(command(small_data, run), preloaded)
    try:
        wait_for("run.json", run, process)
    finally:
        process.kill()
        process.communicate()
    assert not (run / LAST).exists()
    assert main(command(small_data, run)) == 0
    assert_same_run(uninterrupted, run)


def started(folder: Path) -> Path:
    """What is there of a run killed before its first checkpoint."""
    (folder / "logs").mkdir(parents=True)
    (folder / "config.yaml").write_text("seed: 0\n")
    write_record(folder, RunRecord("digest"))
    return folder


@pytest.mark.parametrize("name", ["thesis.tex", "checkpoints/last.ckpt", "weights.safetensors"])
def test_a_folder_with_more_in_it_is_not_started_again(
    name: str, small_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = started(tmp_path / "run")
    (run / name).parent.mkdir(exist_ok=True)
    (run / name).write_text("all of it")
    assert main(command(small_data, run)) == 2
    assert f"error: output {str(run)!r} exists; choose another folder" in capsys.readouterr().err
    assert (run / name).read_text() == "all of it"


def test_a_run_of_another_process_is_left_alone(
    small_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = started(tmp_path / "run")
    with exclusive_lock(run):
        assert main(command(small_data, run)) == 2
    assert "another process is at work there" in capsys.readouterr().err
    assert (run / "config.yaml").read_text() == "seed: 0\n"


@pytest.mark.parametrize("cores", [1, 64])
def test_nobody_is_warned_of_the_number_of_workers(
    cores: int, tmp_path: Path, small_data: Path, monkeypatch: pytest.MonkeyPatch, recwarn: pytest.WarningsRecorder
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(cores)), raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    assert main(command(small_data, tmp_path / "run", num_workers=2)) == 0
    assert not [warning for warning in recwarn if "worker" in str(warning.message)]


@pytest.fixture
def stopped(
    small_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Path:
    """A run interrupted in its first epoch."""
    with monkeypatch.context() as patch:
        interrupt(patch, 1)
        assert main(command(small_data, tmp_path / "run")) == 130
    capsys.readouterr()
    return tmp_path / "run"


def assert_refused(run: Path, message: str, capsys: pytest.CaptureFixture[str], *further: str) -> None:
    assert main(["train", "--resume", str(run), *further]) == 2
    errors = capsys.readouterr().err.splitlines()
    assert errors[-1].startswith("spnet train: error: ")
    assert message in errors[-1]
    assert not any("Traceback" in line for line in errors)


def test_what_cannot_be_resumed(uninterrupted: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert_refused(tmp_path / "none", "none' is no run: it has no config.yaml", capsys)
    assert_refused(uninterrupted, "is finished; there is nothing to resume", capsys)
    (tmp_path / "begun").mkdir()
    shutil.copy(uninterrupted / "config.yaml", tmp_path / "begun")
    assert_refused(tmp_path / "begun", "begun' has no checkpoint to resume from", capsys)


class Trap:
    """Unpickled, it touches a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.path,)


def test_a_checkpoint_runs_no_code(stopped: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = torch.load(stopped / LAST, weights_only=True)
    torch.save(content | {"further": Trap(tmp_path / "sprung")}, stopped / LAST)
    assert_refused(stopped, f"{LAST}' is damaged: the run cannot be resumed", capsys)
    assert not (tmp_path / "sprung").exists()


def test_a_resumed_run_stays_as_it_was_configured(stopped: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for further in (["spnet-s"], ["--data", "x"], ["--stage", "pretrain"], ["--optimizer.epochs", "9"]):
        assert_refused(stopped, "goes on as the run was configured: drop ", capsys, *further)
    assert main(["train", "--resume", str(stopped), "--print-config"]) == 0
    assert capsys.readouterr().out == (stopped / "config.yaml").read_text()


def test_damaged_files_are_named(stopped: Path, capsys: pytest.CaptureFixture[str]) -> None:
    checkpoint = (stopped / LAST).read_bytes()
    (stopped / LAST).write_bytes(checkpoint[: len(checkpoint) // 2])
    assert_refused(stopped, f"{LAST}' is damaged: the run cannot be resumed", capsys)
    (stopped / LAST).write_bytes(checkpoint)
    text = (stopped / "config.yaml").read_text()
    (stopped / "config.yaml").write_text(text.replace("cascade_steps", "steps"))
    assert_refused(stopped, "config.yaml): unknown key model.steps", capsys)
    (stopped / "config.yaml").write_text("model: [")
    assert_refused(stopped, "config.yaml' is no YAML", capsys)
    (stopped / "config.yaml").write_text(text.replace("location_dim: 16", "location_dim: 24"))
    assert_refused(stopped, "model.reid_dim 16 differs from model.location_dim 24", capsys)
    (stopped / "config.yaml").write_text(text.replace("queue_size: 32", "queue_size: 64"))
    message = (
        "the checkpoint is not of this configuration and data: 2 keys of another shape: objective.memory.embeddings"
    )
    assert_refused(stopped, message, capsys)
    assert (stopped / LAST).read_bytes() == checkpoint
    (stopped / "config.yaml").write_text(text)
    assert main(["train", "--resume", str(stopped)]) == 0


def test_data_that_vanished_is_named_and_the_run_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data = make_dataset(tmp_path / "own")
    with monkeypatch.context() as patch:
        interrupt(patch, 1)
        assert main(command(data, tmp_path / "run")) == 130
    shutil.move(data, tmp_path / "elsewhere")
    assert_refused(tmp_path / "run", "has no split 'train'", capsys)
    assert (tmp_path / "run" / LAST).is_file()


def test_a_run_that_ended_there_in_the_meantime_is_kept(
    uninterrupted: Path, small_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process trained into the folder while this one read its data."""
    run = tmp_path / "run"
    make = trainer_module.make_training_loader
    monkeypatch.setattr(
        trainer_module, "make_training_loader", lambda config: (shutil.copytree(uninterrupted, run), make(config))[1]
    )
    assert main(command(small_data, run)) == 2
    assert (run / "weights.safetensors").read_bytes() == (uninterrupted / "weights.safetensors").read_bytes()
