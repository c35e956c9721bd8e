"""The data set as training and evaluation see it: a scene gives views of itself with their boxes.

What a scene gives depends on the seed, the epoch and the scene alone, never on the worker that makes it or on what came
before, so that a resumed run sees the same images.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import Dataset

from spnet.config.schema import Augmentation
from spnet.data.augment import ViewParams, jpeg_scale_for, sample_view, transform_boxes, warp
from spnet.data.decode import read_image
from spnet.data.schema import Annotations


@dataclass(frozen=True)
class Sample:
    """One view of one scene with its n boxes."""

    image: Tensor  # (3, h, w) uint8 RGB
    scene_id: int
    scale: tuple[float, float]  # pixels of the view per pixel of the file, x and y
    boxes: Tensor  # (n, 4) float32, pixels xyxy of the view
    person: Tensor  # (n,) int64
    identity: Tensor  # (n,) int64, -1 for unknown persons


class PersonSearchDataset(Dataset[list[Sample]]):
    """A split under an augmentation: `scenes[index]` or `scenes[epoch, index]` gives the k views of a scene.

    `unique_id_per_box` ignores identities: every annotated box is its own known person (pre-training). Decoded images
    are kept until they fill `cache_mb` of memory (in each worker): a small data set is seen many times.
    `num_identities` is K, the number of known persons; `identity` counts them from 0 by ascending `person_id`.
    """

    def __init__(
        self,
        annotations: Annotations,
        augmentation: Augmentation,
        seed: int,
        unique_id_per_box: bool = False,
        cache_mb: int = 0,
    ) -> None:
        self.annotations = annotations
        self.augmentation = augmentation
        self.seed = seed
        count = len(annotations.boxes)
        self._person = np.arange(count) if unique_id_per_box else annotations.person_ids
        self._known = np.ones(count, bool) if unique_id_per_box else annotations.is_known
        known_persons = np.unique(self._person[self._known])
        self._identity = np.where(self._known, np.searchsorted(known_persons, self._person), -1)
        self.num_identities = len(known_persons)
        self._by_scene = np.argsort(annotations.box_scene, kind="stable")
        self._starts = np.searchsorted(annotations.box_scene[self._by_scene], np.arange(len(self) + 1))
        self._kept: dict[tuple[int, int], tuple[npt.NDArray[np.uint8], int]] = {}
        self._room = cache_mb * 2**20

    def __len__(self) -> int:
        """The number of scenes."""
        return len(self.annotations.file_names)

    def names_of(self, scene_ids: Sequence[int]) -> list[str]:
        """The image files of scenes, as the annotations name them."""
        rows = {scene: row for row, scene in enumerate(self.annotations.scene_ids.tolist())}
        return [str(self.annotations.file_names[rows[scene]]) for scene in scene_ids]

    def __getitem__(self, key: int | tuple[int, int]) -> list[Sample]:
        """The views of a scene in an epoch (0 if only the scene is given). Raises UserError for a bad image file."""
        epoch, index = key if isinstance(key, tuple) else (0, key)
        width, height = self.annotations.sizes[index].tolist()
        rows = self._by_scene[self._starts[index] : self._starts[index + 1]]
        generator = np.random.default_rng((self.seed, epoch, index))
        boxes, known = self.annotations.boxes[rows], self._known[rows]
        plans = [
            sample_view(self.augmentation, (width, height), boxes, known, generator)
            for _ in range(self.augmentation.num_views)
        ]
        pixels, reduction = self._read(index, (width, height), jpeg_scale_for(plans))
        return [self._view(index, rows, plan, warp(pixels, reduction, plan)) for plan in plans]

    def _read(self, index: int, size: tuple[int, int], reduction: int) -> tuple[npt.NDArray[np.uint8], int]:
        """A scene's pixels, and how much smaller they are than the file; from memory if they are kept there."""
        if (kept := self._kept.get((index, reduction))) is not None:
            return kept
        read = read_image(self.annotations.image_root / self.annotations.file_names[index], size, reduction)
        if read[0].nbytes <= self._room:
            self._kept[index, reduction] = read
            self._room -= read[0].nbytes
        return read

    def _view(self, index: int, rows: npt.NDArray[np.int64], plan: ViewParams, image: Tensor) -> Sample:
        boxes, kept = transform_boxes(plan, self.annotations.boxes[rows])
        scale_x, scale_y = np.abs(plan.affine[0]).tolist()
        return Sample(
            image=image,
            scene_id=int(self.annotations.scene_ids[index]),
            scale=(scale_x, scale_y),
            boxes=torch.from_numpy(boxes.astype(np.float32)),
            person=torch.from_numpy(self._person[rows[kept]]),
            identity=torch.from_numpy(self._identity[rows[kept]]),
        )
