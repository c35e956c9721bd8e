"""Which detections of a gallery are the person: the rules that `published` and `corrected` numbers differ in.

Letters: Q queries, T targets (boxes to be found, of all queries), M candidates (a target and a detection on it).
"""

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from spnet.errors import UserError
from spnet.evaluation.arrays import EvaluationArrays
from spnet.evaluation.overlaps import scene_overlaps
from spnet.evaluation.protocols import Galleries
from spnet.evaluation.ragged import expand, first_rows, group, rows_of

Mode = Literal["published", "corrected"]


@dataclass(frozen=True)
class Candidates:
    """Detections that may be the person, by query, and how many boxes each query could find."""

    query: np.ndarray  # (M,) int64, 0..Q−1, ascending
    scene: np.ndarray  # (M,) int64, row
    entry: np.ndarray  # (M,) int64, the scene in the galleries
    box: np.ndarray  # (M,) int64, row of the annotated box
    detection: np.ndarray  # (M,) int64, row
    iou: np.ndarray  # (M,) float64
    wanted: np.ndarray  # (Q,) int64, what all matches are divided by


class PersonBoxes:
    """The annotated boxes of each person, and the detections that overlap each enough, found once for all queries.

    With `published`, the first box of a person in a scene stands for all of them.
    """

    def __init__(self, arrays: EvaluationArrays, mode: Mode) -> None:
        if mode not in get_args(Mode):
            raise UserError(f"mode is {mode!r}; choose one of {', '.join(get_args(Mode))}")
        self._mode = mode
        self._scene = rows_of(arrays.image_ids, arrays.gt_image)
        persons, self._person = np.unique(arrays.gt_person, return_inverse=True)
        order, self._starts, self._counts = group(self._person, len(persons))
        if mode == "published":
            order = order[first_rows(self._person[order] * len(arrays.image_ids) + self._scene[order])]
            self._counts = np.bincount(self._person[order], minlength=len(persons))
            self._starts = np.cumsum(self._counts) - self._counts
        self._order = order
        overlaps = scene_overlaps(arrays)
        self._overlaps = overlaps.at_least(arrays.gt_iou_thresh[overlaps.box])
        self._overlap_counts = np.bincount(self._overlaps.box, minlength=len(arrays.gt_box))
        self._overlap_starts = np.cumsum(self._overlap_counts) - self._overlap_counts

    def candidates(self, galleries: Galleries, first: int, last: int) -> Candidates:
        """The candidates of queries first..last−1 in their galleries; `query` counts from 0 = `first`."""
        person = self._person[galleries.query_box[first:last]]
        query, member = expand(self._starts[person], self._counts[person])
        box = self._order[member]
        scene = self._scene[box]
        entry = galleries.find(query + first, scene)
        keep = (entry >= 0) & (scene != galleries.own_scene[query + first])
        query, box, scene, entry = query[keep], box[keep], scene[keep], entry[keep]
        times = galleries.times_listed[entry] if self._mode == "published" else np.ones(len(entry), np.int64)
        wanted = np.bincount(query, times, minlength=last - first).astype(np.int64)
        target, pair = expand(self._overlap_starts[box], self._overlap_counts[box])
        detection, iou = self._overlaps.detection[pair], self._overlaps.iou[pair]
        return Candidates(query[target], scene[target], entry[target], box[target], detection, iou, wanted)


def best_matches(candidates: Candidates, similarity: np.ndarray) -> np.ndarray:
    """The candidates that count as matches, int64 rows into them, given their similarities (M,).

    Down the ranking of a scene, each detection takes the free box that it overlaps most, if there is one. So a box is
    found once, by the most similar of its detections, and a detection finds one box.
    """
    by_rank = (candidates.box, -candidates.iou, candidates.detection, -similarity, candidates.scene, candidates.query)
    order = np.lexsort(by_rank)  # the last key is the first to decide
    matches = [np.empty(0, np.int64)]
    while len(order):  # as often as a person has boxes in one scene
        first = _changes(candidates.query[order], candidates.scene[order])
        matches.append(order[first])
        match = order[first][np.cumsum(first) - 1]  # of the same query and scene
        taken = (candidates.box[order] == candidates.box[match]) | (
            candidates.detection[order] == candidates.detection[match]
        )
        order = order[~taken]
    return np.concatenate(matches)


def _changes(*keys: np.ndarray) -> np.ndarray:
    """Where a run of equal keys begins, bool (M,)."""
    changes = np.ones(len(keys[0]), bool)
    changes[1:] = np.any([key[1:] != key[:-1] for key in keys], axis=0)
    return changes
