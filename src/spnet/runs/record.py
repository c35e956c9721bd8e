"""RUN/run.json: what a run depends on, how it ended, how long it took and on what; so that no work is done twice.

Two runs depend on the same when their configurations agree in all that shapes the weights, their annotations agree
wherever they lie, and their initial weights come from files, or from runs, of which the same is true.
"""

import hashlib
import json
import os
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from platform import python_version
from typing import Literal

import spnet
from spnet.config.schema import RunConfig
from spnet.errors import UserError
from spnet.files import read_json, write_json
from spnet.models.hub import file_sha256, find_weights

RECORD_NAME = "run.json"
WITHOUT_EFFECT = {  # keys that shape no weights, or stand for something of which a digest is taken instead
    "model": ("inference",),
    "data": ("root", "train_split", "num_workers", "cache_mb"),
    "trainer": ("compile", "grad_checkpointing"),
    "weights": ("init_from",),
}
PACKAGES = ("torch", "torchvision", "timm", "lightning", "numpy")


@dataclass(frozen=True)
class RunRecord:
    """How a run stands.

    Args:
        fingerprint: digest of what its weights depend on (`dependencies`).
        state: `started`, also while it runs or if it was interrupted; `finished`; `failed`, or `diverged`, which no
            second attempt will mend.
        reason: why it failed.
        seconds: of training, those before an interruption included.
        steps: of the optimizer.
        hardware: what it was trained on.
        date: when it was written, UTC.
        versions: of this package and those that shape numbers.
    """

    fingerprint: str
    state: Literal["started", "finished", "failed", "diverged"] = "started"
    reason: str = ""
    seconds: float = 0.0
    steps: int = 0
    hardware: str = ""
    date: str = ""
    versions: dict[str, str] | None = None


def write_record(run: Path, record: RunRecord) -> None:
    """Write the record of a run, with machine, date and versions."""
    content = asdict(record) | {"hardware": hardware(), "date": now(), "versions": versions()}
    write_json(run / RECORD_NAME, content)


def read_record(run: Path) -> RunRecord | None:
    """The record of a run; None where there is none. Raises UserError for one that is damaged."""
    file = run / RECORD_NAME
    if not file.is_file():
        return None
    try:
        return RunRecord(**json.loads(file.read_text()))
    except (OSError, ValueError, TypeError) as error:
        raise UserError(f"{file}: no record of a run ({type(error).__name__})") from None


def hardware() -> str:
    """What this machine computes on."""
    import torch  # takes seconds to load, and no record that is read needs it

    return torch.cuda.get_device_name() if torch.cuda.is_available() else f"CPU, {os.cpu_count()} cores"


def versions() -> dict[str, str]:
    """This package, Python and the packages that shape numbers."""
    return {"spnet": spnet.__version__, "python": python_version()} | {name: version(name) for name in PACKAGES}


def now() -> str:
    """Date and time, UTC, to the minute."""
    return f"{datetime.now(UTC):%Y-%m-%d %H:%M}"


def fingerprint(config: RunConfig, annotations: Path, source: str | None) -> str:
    """Digest of everything the weights of a run depend on.

    Args:
        config: the run; where data and weights lie does not count, nor how they are read.
        annotations: the file it is trained on.
        source: digest of the weights it starts from (`source_fingerprint`), if any.
    """
    content = asdict(config)
    for name in ("stage", "checkpoint", "logger"):  # the first says what the other keys are for
        del content[name]
    if not config.validation.patience:  # only early stopping shapes weights
        del content["validation"]
    for part, names in WITHOUT_EFFECT.items():
        for name in names:
            del content[part][name]
    backbone = content["model"]["backbone"]
    if (file := Path(backbone["weights"])).is_file():
        backbone["weights"] = file_digest(file)
    content |= {"annotations": annotations_digest(annotations), "source": source}
    return _digest(content)


def source_fingerprint(config: RunConfig) -> str | None:
    """Digest of the weights a run starts from: what a run depends on stands for its weights."""
    if config.weights.init_from is None:
        return None
    if record := read_record(Path(config.weights.init_from)):
        return record.fingerprint
    return file_digest(find_weights(config.weights.init_from))


def annotations_digest(file: Path) -> str:
    """Digest of annotations, whatever they say about where their images are. Raises UserError for damaged ones."""
    return _annotations_digest(file, file.stat().st_mtime_ns)


def file_digest(file: Path) -> str:
    """Digest of a file's content."""
    return _file_digest(file, file.stat().st_mtime_ns)


@lru_cache
def _annotations_digest(file: Path, changed: int) -> str:
    content = read_json(file)
    if not isinstance(content, dict):
        raise UserError(f"{file}: no annotations: it holds {type(content).__name__}")
    return _digest({name: value for name, value in content.items() if name != "info"})


@lru_cache
def _file_digest(file: Path, changed: int) -> str:
    return file_sha256(file)[:16]


def _digest(content: dict[str, object]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]
