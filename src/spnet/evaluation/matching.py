"""Which detections of a gallery are the person: the rules in which `published` and `corrected` metrics differ.

Own code, because no library computes person-search metrics with the peculiarities of all published numbers
(docs/evaluation.md, "The two modes"); tests compare it with a naive reference and with saved published results.

An *appearance* is a person in a scene, with one or more annotated boxes. Letters: A appearances, C queries of a chunk,
M candidates (a detection that lies on a box of the person, with that box).
"""

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from spnet.errors import UserError
from spnet.evaluation.arrays import EvaluationArrays
from spnet.evaluation.overlaps import scene_overlaps
from spnet.evaluation.protocols import Galleries
from spnet.ragged import concat_ranges, group, index_of, is_first

Mode = Literal["published", "corrected"]


@dataclass(frozen=True)
class MatchCandidates:
    """Detections that may be the person, by query and appearance; within one by detection, best overlap first."""

    query: npt.NDArray[np.int64]  # (M,) 0..C−1, ascending
    appearance: npt.NDArray[np.int64]  # (M,) ascending; a number of its own for each query and scene
    entry: npt.NDArray[np.int64]  # (M,) the scene in the galleries
    box: npt.NDArray[np.int64]  # (M,) row of the annotated box
    detection: npt.NDArray[np.int64]  # (M,) row
    num_relevant: npt.NDArray[np.int64]  # (C,) how many matches there should be


class OccurrenceIndex:
    """All appearances of all persons, and the detections on each, found once for all queries.

    With `published`, the first box of a person in a scene stands for all of them. Raises UserError for another mode.
    """

    def __init__(self, arrays: EvaluationArrays, mode: Mode) -> None:
        if mode not in get_args(Mode):
            raise UserError(f"mode is {mode!r}; choose one of {', '.join(get_args(Mode))}")
        self._mode, scenes = mode, len(arrays.image_ids)
        persons, self._person_of_box = np.unique(arrays.gt_person, return_inverse=True)
        keys = self._person_of_box * scenes + index_of(arrays.image_ids, arrays.gt_image)
        ids, appearance = np.unique(keys, return_inverse=True)
        person, self._scene = np.divmod(ids, scenes)
        self._of_person = group(person, len(persons))[1:]  # starts and counts: they are sorted
        counts = is_first(keys) if mode == "published" else np.ones(len(keys), bool)
        self._boxes = np.bincount(appearance[counts], minlength=len(ids))  # (A,)
        overlaps = scene_overlaps(arrays)
        pairs = overlaps.select(counts[overlaps.box] & (overlaps.iou >= arrays.gt_iou_thresh[overlaps.box]))
        of_pair = appearance[pairs.box]
        order = np.lexsort((pairs.box, -pairs.iou, pairs.detection, of_pair))  # the last key is the first to decide
        self._box, self._detection = pairs.box[order], pairs.detection[order]
        self._on_appearance = group(of_pair[order], len(ids))[1:]

    def candidates(self, galleries: Galleries, first: int, last: int) -> MatchCandidates:
        """The candidates of queries first..last−1 in their galleries; `query` counts from 0 = `first`."""
        starts, counts = self._of_person
        person = self._person_of_box[galleries.query_box[first:last]]
        query, appearance = concat_ranges(starts[person], counts[person])
        scene = self._scene[appearance]
        entry = galleries.find(query + first, scene)
        searched = (entry >= 0) & (scene != galleries.own_scene[query + first])
        query, appearance, entry = query[searched], appearance[searched], entry[searched]
        matches = galleries.times_listed[entry] if self._mode == "published" else self._boxes[appearance]
        num_relevant = np.bincount(query, matches, minlength=last - first).astype(np.int64)
        starts, counts = self._on_appearance
        place, pair = concat_ranges(starts[appearance], counts[appearance])
        return MatchCandidates(query[place], place, entry[place], self._box[pair], self._detection[pair], num_relevant)


def best_matches(candidates: MatchCandidates, similarity: npt.NDArray[np.floating]) -> npt.NDArray[np.int64]:
    """The candidates that count as matches, int64 rows into them, given their similarities (M,).

    Down the ranking of a scene, each detection takes the free box that it overlaps most, if there is one. So a box is
    found once, by the most similar of its detections, and a detection finds one box.
    """
    order = np.lexsort((-similarity, candidates.appearance))  # stable: ties stay by detection and overlap
    matches = [np.empty(0, np.int64)]
    while len(order):  # as often as a person has boxes in one scene
        appearance = candidates.appearance[order]
        is_first = np.append(True, appearance[1:] != appearance[:-1])
        matches.append(order[is_first])
        match = order[is_first][np.cumsum(is_first) - 1]  # of the same appearance
        taken = (candidates.box[order] == candidates.box[match]) | (
            candidates.detection[order] == candidates.detection[match]
        )
        order = order[~taken]
    return np.concatenate(matches)
