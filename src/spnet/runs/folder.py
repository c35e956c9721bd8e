"""The files of a run, and of the data it is trained on; apart from training, so that reading them loads no trainer."""

from pathlib import Path

from spnet.config.io import parse, read_mapping, to_yaml
from spnet.config.schema import RunConfig
from spnet.errors import UserError
from spnet.files import write_bytes

CONFIG_NAME = "config.yaml"
LAST = Path("checkpoints") / "last.ckpt"
PREVIOUS = Path("checkpoints") / "previous.ckpt"  # the one before, should the last be damaged
CURVES = Path("logs") / "metrics.csv"
VALIDATION_CURVES = Path("logs") / "validation.csv"
BEST = Path("best.safetensors")
TEACHER = Path("teacher.safetensors")
EPOCH_WEIGHTS = Path("checkpoints") / "epoch_{:04}.safetensors"


def read_run_config(run: Path) -> RunConfig:
    """The configuration saved with a run. Raises UserError if the folder is no run."""
    file = run / CONFIG_NAME
    if not file.is_file():
        raise UserError(f"{str(run)!r} is no run: it has no {CONFIG_NAME}")
    return parse(RunConfig, read_mapping(file), str(file))


def write_config(file: Path, config: RunConfig) -> None:
    """Write a configuration to a file that `read_mapping` reads; its folder is made."""
    file.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(file, to_yaml(config).encode())


def checkpoint_files(run: Path) -> list[Path]:
    """The checkpoints there are of a run, the newest first."""
    return [run / name for name in (LAST, PREVIOUS) if (run / name).is_file()]


def training_annotations(config: RunConfig) -> Path:
    """The annotations a run is trained on. Raises UserError as `split_file`."""
    return split_file(Path(config.data.root), config.data.train_split)


def split_file(root: Path, split: str) -> Path:
    """The annotations of a split. Raises UserError naming the splits there are."""
    file = root / "annotations" / f"{split}.json"
    if not file.is_file():
        there = sorted(path.stem for path in file.parent.glob("*.json"))
        raise UserError(
            f"data set {str(root)!r} has no split {split!r}; it has {there or 'none: make it with `spnet prepare`'}"
        )
    return file
