"""`spnet train` given what it cannot use: one line, status 2, nothing left behind."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image

from small_dataset import TRAIN_SCENES, make_dataset, options
from spnet.cli.main import main
from spnet.training.module import TrainingModule

IMAGE = "train7.png"


def assert_refused(arguments: list[str], message: str, output: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Before training nothing else is on stderr but where weights come from."""
    assert main(["train", *arguments, "--output", str(output)]) == 2
    *others, error = capsys.readouterr().err.splitlines()
    assert error.startswith("spnet train: error: ")
    assert message in error
    assert not [line for line in others if not line.startswith("weights: ") and "epoch" not in line]
    assert not output.exists()


def remove(file: Path) -> None:
    file.unlink()


def truncate(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:1000])


def scribble(file: Path) -> None:
    file.write_bytes(b"no image")


def shrink(file: Path) -> None:
    Image.open(file).resize((48, 32)).save(file)


IMAGES = [
    (remove, f"{IMAGE}: no such image (1 of {TRAIN_SCENES} are missing)"),
    (truncate, f"{IMAGE} cannot be read: "),
    (scribble, f"{IMAGE} cannot be read: no known image format"),
    (shrink, f"{IMAGE} is 48 x 32 pixels, its annotations say 96 x 64"),
]


@pytest.mark.parametrize("num_workers", [0, 1])
@pytest.mark.parametrize(("spoil", "message"), IMAGES)
def test_a_image(
    spoil: Callable[[Path], None], message: str, num_workers: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = make_dataset(tmp_path)
    spoil(tmp_path / "images" / IMAGE)
    arguments = ["spnet-tiny", "--data", str(data), *options(data__num_workers=num_workers)]
    assert_refused(arguments, message, tmp_path / "run", capsys)


def test_a_image_spoilt_after_a_checkpoint_leaves_a_run_that_can_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data, run = make_dataset(tmp_path), tmp_path / "run"
    image = tmp_path / "images" / IMAGE
    whole = image.read_bytes()
    command = ["train", "spnet-tiny", "--data", str(data), "--output", str(run), *options(optimizer__epochs=3)]

    def spoil(module: TrainingModule) -> None:
        if module.current_epoch:
            truncate(image)

    with monkeypatch.context() as patch:
        patch.setattr(TrainingModule, "on_train_epoch_start", spoil)
        assert main(command) == 2
    assert f"{IMAGE} cannot be read" in capsys.readouterr().err.splitlines()[-1]
    assert (run / "checkpoints" / "last.ckpt").is_file()
    assert not (run / "weights.safetensors").exists()
    image.write_bytes(whole)
    assert main(["train", "--resume", str(run)]) == 0


ARGUMENTS = [
    ([], "no data set is given: --data DIR names one made by `spnet prepare`"),
    (["--data", "nowhere"], "data set 'nowhere' has no split 'train'; it has none: make it with `spnet prepare`"),
    (["--data", "DATA", "--split", "val"], "has no split 'val'; it has ['test', 'train']"),
    (
        ["--data", "DATA", "--data.augmentation.num_views", "3"],
        "batch_size 4 is no multiple of data.augmentation.num_views",
    ),
    (["--data", "DATA", "--data.batch_size", "40"], "batch_size is 40 on 1 processes, must be 1 to 12 scenes"),
    (["--data", "DATA", "--optimizer.epochs", "0"], "optimizer.epochs is '0': should be greater than 0"),
    (["--data", "DATA", "--model.reid_dim", "8"], "model.reid_dim 8 differs from model.location_dim 16"),
    (["--data", "DATA", "--model.backbone.name", "alexnet9"], "alexnet9"),
    (["--data", "DATA", "--model.backbone.weights", "none.pth"], "weights 'none.pth': no such file"),
    (["--data", "DATA", "--weights", "none.safetensors"], "weights 'none.safetensors': no such file"),
    (["--data", "DATA", "--weights", "DATA"], "weights.safetensors': the run is not finished"),
    (["--data", "DATA", "--objective.nope", "1"], "unknown key objective.nope"),
    (["--data", "DATA", "--config", "none.yaml"], "configuration 'none.yaml' cannot be read: No such file"),
    (
        ["--data", "DATA", "--objective.reid_loss", "contrastive", "--objective.queue_size", "1"],
        "queue_size 1 is too small",
    ),
]


@pytest.mark.parametrize(("arguments", "message"), ARGUMENTS)
def test_arguments(
    arguments: list[str], message: str, small_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [str(small_data) if part == "DATA" else part for part in arguments]
    assert_refused(["spnet-tiny", *options(), *arguments], message, tmp_path / "run", capsys)


def test_annotations(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = make_dataset(tmp_path)
    file = data / "annotations" / "train.json"
    document = json.loads(file.read_text())
    document["annotations"][5]["image_id"] = 999
    file.write_text(json.dumps(document))
    message = "train.json: annotation 5 (id 5): image_id 999 is the id of no image"
    assert_refused(["spnet-tiny", "--data", str(data), *options()], message, tmp_path / "run", capsys)
    file.write_text("{")
    assert_refused(["spnet-tiny", "--data", str(data), *options()], "not JSON", tmp_path / "run", capsys)


def test_outputs_are_never_overwritten(small_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["train", "spnet-tiny", "--data", str(small_data), *options(), "--output"]
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").write_text("all of it")
    (tmp_path / "file").write_text("a file")
    for name in ("full", "file"):
        assert main([*command, str(tmp_path / name)]) == 2
        expected = f"spnet train: error: output {str(tmp_path / name)!r} exists; choose another folder\n"
        assert capsys.readouterr().err == expected
    assert main([*command, str(tmp_path / "file" / "run")]) == 2
    assert (
        capsys.readouterr().err.splitlines()[-1]
        == f"spnet train: error: {tmp_path / 'file' / 'run'}: cannot be worked in: Not a directory"
    )
    assert (tmp_path / "full" / "thesis.tex").read_text() == "all of it"
    assert (tmp_path / "file").read_text() == "a file"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "full"]


class Trap:
    """Unpickled, it touches a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.path,)


def test_pickles_that_run_code_are_not_opened(
    small_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save({"weight": Trap(tmp_path / "sprung")}, tmp_path / "trap.pth")
    weights = ["--model.backbone.weights", str(tmp_path / "trap.pth")]
    message = "trap.pth': not a readable weights file"
    assert_refused(["spnet-tiny", "--data", str(small_data), *options(), *weights], message, tmp_path / "run", capsys)
    assert not (tmp_path / "sprung").exists()
