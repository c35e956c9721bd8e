"""A run's state on disk: written whole, under a checksum, and the last two kept, so that there is always a good one.

A checkpoint is a file of `torch.save`, a zip archive whose comment is the SHA-256 of all that comes before it.
"""

import hashlib
import logging
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import lightning as L
import torch
from lightning.fabric.plugins.io import CheckpointIO
from lightning.pytorch.callbacks import Checkpoint
from torch import Tensor

from spnet import distributed
from spnet.config.schema import CheckpointConfig
from spnet.errors import UserError
from spnet.files import atomic_write
from spnet.models.torch_file import load_torch_file
from spnet.runs.folder import LAST, PREVIOUS, checkpoint_files
from spnet.training.nonfinite import TrainingDiverged, first_non_finite

logger = logging.getLogger(__name__)

LABEL = b"sha256:"
SEAL_BYTES = len(LABEL) + 64  # the label and the digest in hexadecimal digits
COMMENT_LENGTH_BYTES = 2  # the last of an archive without a comment


class SealedCheckpoints(CheckpointIO):
    """Writes and reads every checkpoint of a trainer; Lightning's own has no checksum and never waits for the disk."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: object = None) -> None:
        """Write a checkpoint atomically; the one before takes the name of `PREVIOUS`.

        Raises UserError where it cannot be written, TrainingDiverged where numbers of it are not finite; the
        checkpoints there were are left as they are.
        """
        # numbers of callbacks may start at infinity
        learned = {key: value for key, value in checkpoint.items() if key != "callbacks"}
        if name := first_non_finite(_named_tensors(learned)):
            raise TrainingDiverged(f"training diverged: at step {checkpoint['global_step']} {name} is not finite")
        file = Path(path)
        file.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(file, previous=file.with_name(PREVIOUS.name)) as stream:
            _save(checkpoint, stream)

    def load_checkpoint(
        self, path: str | Path, map_location: object = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Read a checkpoint, always as weights only. Raises UserError for one that is damaged."""
        try:
            with Path(path).open("rb") as stream:
                if not _is_sealed(stream):
                    raise ValueError("checksum")
                content = load_torch_file(stream)
        except (OSError, ValueError) as error:
            raise _damaged(Path(path), error) from error
        if not isinstance(content, dict):
            raise _damaged(Path(path), None)
        return content

    def remove_checkpoint(self, path: str | Path) -> None:
        """Remove a checkpoint."""
        Path(path).unlink(missing_ok=True)


class SaveState(Checkpoint):
    """Saves the state at the end of each epoch, and within one by the clock or by steps.

    Args:
        file: the checkpoint.
        config: how often.
    """

    def __init__(self, file: Path, config: CheckpointConfig) -> None:
        self.file, self.config = file, config
        self._saved = 0.0  # seconds of the monotonic clock

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Start the clock."""
        self._saved = time.monotonic()

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, *arguments: object) -> None:
        """Save when it is time; after an epoch's last step its end does."""
        if not trainer.is_last_batch and distributed.agree(self._is_due(trainer.global_step)):
            self._save(trainer)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Save."""
        self._save(trainer)

    def _is_due(self, step: int) -> bool:
        steps, seconds = self.config.every_n_steps, 60 * self.config.every_n_minutes
        return (steps > 0 and step % steps == 0) or 0 < seconds <= time.monotonic() - self._saved

    def _save(self, trainer: L.Trainer) -> None:
        trainer.save_checkpoint(self.file)
        self._saved = time.monotonic()


def choose_checkpoint(run: Path) -> Path:
    """The newest sound checkpoint of a run that has some. An older one takes the place of a damaged one, with a line.

    Raises:
        UserError: none is sound, or one cannot be read.
    """
    files = checkpoint_files(run)
    sound = next((file for file in files if _is_sound(file)), None)
    if sound is None:
        raise _damaged(files[0], None)
    if sound != run / LAST:
        state = "is damaged" if (run / LAST).exists() else "is missing"
        logger.warning(f"{run / LAST} {state}: going on from the checkpoint before it")
        sound.replace(run / LAST)
    return run / LAST


def seal(stream: BinaryIO, size: int) -> bytes:
    """The checksum of the first `size` bytes, after which it leaves the stream."""
    stream.seek(0)
    digest = hashlib.sha256()
    while size > 0 and (block := stream.read(min(size, 2**20))):
        digest.update(block)
        size -= len(block)
    return LABEL + digest.hexdigest().encode()


def _save(checkpoint: dict[str, Any], stream: BinaryIO) -> None:
    try:
        torch.save(checkpoint, stream)
    except RuntimeError as error:  # torch's writer fails with it after the disk did
        cause = error.__context__
        raise cause if isinstance(cause, OSError) else OSError(*error.args) from None
    stream.seek(-COMMENT_LENGTH_BYTES, 2)
    stream.write(SEAL_BYTES.to_bytes(COMMENT_LENGTH_BYTES, "little"))
    stream.write(seal(stream, stream.tell()))


def _is_sound(file: Path) -> bool:
    try:
        with file.open("rb") as stream:
            return _is_sealed(stream)
    except OSError as error:  # nothing says that the file is damaged
        raise UserError(f"{file}: cannot be read: {error.strerror}") from None


def _is_sealed(stream: BinaryIO) -> bool:
    """Whether the file ends in the checksum of what comes before. Leaves the stream anywhere."""
    expected = seal(stream, stream.seek(0, 2) - SEAL_BYTES)
    return stream.read() == expected


def _named_tensors(content: Any, prefix: str = "") -> Iterator[tuple[str, Tensor]]:
    if isinstance(content, Tensor):
        yield prefix.removesuffix(".").removeprefix("state_dict."), content
    elif isinstance(content, (dict, list)):
        for key, value in content.items() if isinstance(content, dict) else enumerate(content):
            yield from _named_tensors(value, f"{prefix}{key}.")


def _damaged(file: Path, error: Exception | None) -> UserError:
    if isinstance(error, OSError):
        return UserError(f"{file}: cannot be read: {error.strerror}")
    return UserError(f"{str(file)!r} is damaged: the run cannot be resumed")
