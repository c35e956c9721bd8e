"""Batches of views: how they are put together, in which order they come, and how a run goes on from the middle."""

import math
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from multiprocessing import parent_process
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler, get_worker_info
from torch.utils.data.dataloader import _MultiProcessingDataLoaderIter

from spnet import distributed
from spnet.data.augment.sample import resize_shape
from spnet.data.dataset import PersonSearchDataset, Sample
from spnet.errors import UserError
from spnet.types import SceneBatch, Targets

PARENT_SECONDS = 2.0  # between two looks of a worker whether its parent lives
STRIDE = 32  # images are padded to a multiple of it (docs/method.md, "Network")


def collate(items: Sequence[Sequence[Sample]], size: tuple[int, int] | None = None) -> SceneBatch:
    """One batch of the views of several scenes, image-major: all views of the first scene, then of the second...

    Images are zero-padded on the right and bottom to `size` (height, width); not given: to the largest, rounded up to a
    multiple of 32 pixels.
    """
    views = [view for item in items for view in item]
    sizes = torch.tensor([view.image.shape[1:] for view in views])
    height, width = size or padded_size(sizes.amax(dim=0).tolist())
    images = _shared_zeros(len(views), 3, height, width)
    for image, view in zip(images, views, strict=True):
        image[:, : view.image.shape[1], : view.image.shape[2]] = view.image
    counts = torch.tensor([len(view.boxes) for view in views])
    return SceneBatch(
        images=images,
        sizes=sizes,
        scene_ids=torch.tensor([view.scene_id for view in views]),
        scales=torch.tensor([view.scale for view in views], dtype=torch.float32),
        targets=Targets(
            boxes=torch.cat([view.boxes for view in views]),
            scene=torch.repeat_interleave(torch.arange(len(views)), counts),
            person=torch.cat([view.person for view in views]),
            identity=torch.cat([view.identity for view in views]),
        ),
    )


def padded_size(size: Sequence[int]) -> tuple[int, int]:
    """The last two of `size`, each rounded up to a multiple of 32."""
    height, width = (-(-length // STRIDE) * STRIDE for length in size[-2:])
    return height, width


def _shared_zeros(*shape: int) -> Tensor:
    """Zeros; in a worker, in memory that the training process can read without another copy."""
    if get_worker_info() is None:
        return torch.zeros(shape, dtype=torch.uint8)
    shared = torch.UntypedStorage._new_shared(math.prod(shape))  # new shared memory is zero
    return torch.empty(0, dtype=torch.uint8).set_(shared).view(shape)


class ResumableSampler(Sampler[tuple[int, int]]):
    """Keys (epoch, scene) of one process, in an order that the seed and the epoch alone decide.

    The shuffled scenes are dealt in rounds of `batch_size` to each of `world_size` processes; what does not fill a
    round is left out of this epoch, unless `drop_last` is False: then the last batch is smaller. `start` batches are
    skipped: a resumed epoch goes on in the middle.
    """

    def __init__(self, scenes: int, batch_size: int, seed: int, world_size: int = 1, drop_last: bool = True) -> None:
        if not scenes >= batch_size * world_size >= 1:
            raise UserError(
                f"batch_size is {batch_size} on {world_size} processes, must be 1 to {scenes} scenes in all"
            )
        self.scenes, self.batch_size, self.seed = scenes, batch_size, seed
        self.world_size, self.drop_last = world_size, drop_last
        self.epoch = self.start = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch; another one than now begins with its first batch."""
        if epoch != self.epoch:
            self.epoch, self.start = epoch, 0

    def __len__(self) -> int:
        """Keys of a whole epoch."""
        whole, rest = divmod(self.scenes, self.batch_size * self.world_size)
        return whole * self.batch_size + (0 if self.drop_last else -(-rest // self.world_size))

    def __iter__(self) -> Iterator[tuple[int, int]]:
        """The keys from batch `start` on."""
        order = np.random.default_rng((self.seed, self.epoch)).permutation(self.scenes)
        order = np.resize(order, len(self) * self.world_size)  # a partial round is filled up from the beginning
        whole = len(order) // (self.batch_size * self.world_size) * self.batch_size * self.world_size
        rounds = order[:whole].reshape(-1, self.world_size, self.batch_size)
        rest = order[whole:].reshape(self.world_size, -1)
        rank = distributed.rank()  # known once training begins
        mine = np.concatenate([rounds[:, rank].ravel(), rest[rank]])[self.start * self.batch_size :]
        return ((self.epoch, scene) for scene in mine.tolist())


class _ErrorCapturingDataset(Dataset[list[Sample]]):
    """Scenes that hand a UserError over as an answer: raised in a worker it would end as a page of traceback."""

    def __init__(self, scenes: PersonSearchDataset) -> None:
        self.scenes = scenes

    def __getitems__(self, keys: Sequence[int | tuple[int, int]]) -> list[list[Sample]] | UserError:
        try:
            return [self.scenes[key] for key in keys]
        except UserError as error:
            return error

    def __len__(self) -> int:
        return len(self.scenes)


def _collate_answer(answer: list[list[Sample]] | UserError) -> SceneBatch | UserError:
    return answer if isinstance(answer, UserError) else collate(answer)


class SceneLoader(DataLoader[list[Sample]]):
    """Batches of scenes; a bad image file ends the iteration with its UserError, whichever worker met it."""

    def __init__(self, scenes: PersonSearchDataset, num_workers: int, **order: Any) -> None:
        self.scenes = scenes
        super().__init__(
            _ErrorCapturingDataset(scenes),
            **order,
            num_workers=num_workers,
            collate_fn=_collate_answer,
            # its own, since it samples once an epoch: a run resumed at an epoch's end would sample differently
            generator=torch.Generator(),
            pin_memory=torch.cuda.is_available(),
            worker_init_fn=_init_worker,
            persistent_workers=num_workers > 0,
        )

    def check_worker_number_rationality(self) -> None:
        """Do not warn of more workers than cores: the configuration decides, and torch would warn before any error."""

    def __iter__(self) -> Iterator[SceneBatch]:  # type: ignore[override]  # torch names its own iterator class
        """The batches; workers start with the first one, so the epoch may be set until then."""
        for batch in super().__iter__():
            if isinstance(batch, UserError):
                self._end_workers()
                raise batch
            yield batch

    def _end_workers(self) -> None:
        """End them now: the garbage collector may end their queues first, and then waits 5 seconds for each."""
        if isinstance(self._iterator, _MultiProcessingDataLoaderIter):
            self._iterator._shutdown_workers()
            self._iterator = None


class TrainingLoader(SceneLoader):
    """Shuffled batches of `batch_size` images (times the augmentation's views, scenes of the batch) a process.

    They know how far they are: Lightning saves and restores `state_dict` with a checkpoint.
    """

    def __init__(
        self,
        scenes: PersonSearchDataset,
        batch_size: int,
        num_workers: int,
        seed: int,
        world_size: int = 1,
        drop_last: bool = True,
    ) -> None:
        self.order = ResumableSampler(len(scenes), batch_size, seed, world_size, drop_last)
        self.batches_done = 0
        super().__init__(scenes, num_workers, sampler=self.order, batch_size=batch_size, drop_last=drop_last)

    def set_progress(self, epoch: int, batches_done: int) -> None:
        """The next iteration goes on in `epoch` after so many batches; the one after it starts an epoch afresh."""
        self.order.epoch, self.order.start, self.batches_done = epoch, batches_done, batches_done

    def state_dict(self) -> dict[str, int]:
        """The epoch and how many of its batches were handed out."""
        return {"epoch": self.order.epoch, "batches_done": self.batches_done}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Goes on where `state_dict` was taken."""
        self.set_progress(**state)

    def __iter__(self) -> Iterator[SceneBatch]:  # type: ignore[override]  # torch names its own iterator class
        """The batches of the epoch from where progress was set."""
        self.batches_done = self.order.start
        for batch in distributed.raise_together(super().__iter__(), UserError):
            self.order.start = 0
            self.batches_done += 1
            yield batch


def evaluation_loader(
    scenes: PersonSearchDataset, batch_size: int, num_workers: int, rank: int = 0, world_size: int = 1
) -> SceneLoader:
    """Every scene once, whole (`wrs`), in no particular order: find them by `scene_ids`.

    Scenes of a batch are padded to the same size as each of them alone. What is found in a scene depends a little on
    its padding, and so never on the scenes beside it.
    """
    batches = _batches_of_one_size(scenes, batch_size)
    return SceneLoader(scenes, num_workers, batch_sampler=batches[rank::world_size])


def _batches_of_one_size(scenes: PersonSearchDataset, batch_size: int) -> list[list[int]]:
    sizes, size = np.unique(scenes.annotations.sizes, axis=0, return_inverse=True)
    min_size, max_size = scenes.augmentation.min_size, scenes.augmentation.max_size
    views = [padded_size(resize_shape((width, height), min_size, max_size)) for width, height in sizes.tolist()]
    _, padded = np.unique(views, axis=0, return_inverse=True)
    order = np.argsort(padded[size], kind="stable")
    groups = np.split(order, np.flatnonzero(np.diff(padded[size][order])) + 1)
    return [group[i : i + batch_size].tolist() for group in groups for i in range(0, len(group), batch_size)]


def _init_worker(worker: int) -> None:
    """Leave signals to the main process, which stops its workers: a terminal, `timeout` and SLURM send them to all."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "sigtimedwait"):  # macOS has none
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        threading.Thread(target=_wait_for_termination, daemon=True).start()
    cv2.setNumThreads(0)  # OpenCV's threads do not survive the fork


def _wait_for_termination() -> None:
    """End the worker when its parent sends SIGTERM (`Process.terminate`) or is gone, and at nobody else's signal.

    A worker whose parent was killed would else wait for ever to hand over a batch that nobody takes.
    """
    parent = parent_process()  # known even to a worker that starts when it is gone, whose `os.getppid()` is another's
    while parent is not None and parent.is_alive():
        received = signal.sigtimedwait({signal.SIGTERM}, PARENT_SECONDS)
        if received is not None and received.si_pid == parent.pid:
            break
    os._exit(0)
