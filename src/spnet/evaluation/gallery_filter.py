"""Scores of a gallery filter: how likely a query's person is in a scene, seen from the whole scene.

Jaffe & Zakhor, "Gallery Filter Network for Person Search" (WACV 2023): scenes of a low score need not be searched, and
similarities are multiplied by the score. The networks of this package have no such filter; a detections file may have
its scores, as two more arrays.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from spnet.errors import UserError
from spnet.evaluation.arrays import open_arrays
from spnet.ragged import is_first

NAMES = ("filter_query", "filter_score")


@dataclass(frozen=True)
class GalleryFilter:
    """Multiply similarities by the score of their scene; scenes below `threshold` are not searched."""

    queries: npt.NDArray[np.int64]  # (F,) annotation ids
    scores: npt.NDArray[np.floating]  # (F, S) 0..1, scenes in the order of `image_ids`
    threshold: float = 0.0

    def __post_init__(self) -> None:
        queries, scores = self.queries, self.scores
        if not 0 <= self.threshold <= 1:
            raise UserError(f"threshold is {self.threshold:g}: not in 0 to 1")
        if queries.dtype.kind not in "iu" or queries.ndim != 1 or not is_first(queries).all():
            raise UserError("filter_query must hold annotation ids, each once")
        if scores.dtype.kind != "f" or scores.ndim != 2 or len(scores) != len(queries):
            raise UserError(f"filter_score has shape {scores.shape}: must be ({len(queries)}, scenes), floating-point")
        wrong = ~((scores >= 0) & (scores <= 1))  # NaN too
        if wrong.any():
            row, column = np.unravel_index(int(wrong.argmax()), wrong.shape)
            raise UserError(
                f"filter_score[{row}, {column}] (query {queries[row]}) is {scores[row, column]}: not in 0 to 1"
            )


def read_gallery_filter(path: Path) -> GalleryFilter | None:
    """The gallery filter's scores of a detections file (.npz), None where it has none. Raises UserError."""
    with open_arrays(path) as content:
        missing = [name for name in NAMES if name not in content]
        if len(missing) == len(NAMES):
            return None
        if missing:
            raise UserError(f"it has no array {missing[0]!r}, which belongs to {' and '.join(NAMES)}")
        return GalleryFilter(content["filter_query"], content["filter_score"])
