"""Similarities of queries to every detection of their galleries: the one expensive step, on any device.

Letters: C queries of a chunk, K detections of the largest gallery, N detections, E embedding dims.
"""

import warnings

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from spnet.evaluation.arrays import EvaluationArrays
from spnet.evaluation.protocols import Galleries
from spnet.evaluation.ragged import expand, first_rows, group, rows_of


class GallerySimilarity:
    """Cosine similarities, times the detections' scores if wanted, in float32 as published numbers were made.

    The columns of a query's row are the detections of its gallery, scene by scene. Equal embeddings are one row of the
    matrix product, so that they tie exactly, whatever the product's arithmetic.
    """

    def __init__(
        self, arrays: EvaluationArrays, galleries: Galleries, confidence_weighted: bool, device: torch.device | str
    ) -> None:
        self._galleries, self._device = galleries, torch.device(device)
        scene = rows_of(arrays.image_ids, arrays.det_image)
        self._order, self._scene_start, self._scene_count = group(scene, len(arrays.image_ids))
        self._place = np.empty(len(scene), np.int64)  # of a detection among those of its scene
        self._place[self._order] = np.arange(len(scene)) - self._scene_start[scene[self._order]]
        before = np.append(0, np.cumsum(self._scene_count[galleries.scenes]))
        self._sizes = before[galleries.starts + galleries.counts] - before[galleries.starts]  # (L,) detections
        self._entry_column = before[:-1] - np.repeat(before[galleries.starts], galleries.counts)
        self._queries = self._normalised(arrays.gt_emb[galleries.query_box])
        self._scores = self._tensor(arrays.det_score.astype(np.float32)) if confidence_weighted else None
        used = self._members(0, 1)[1] if galleries.shared else self._order
        distinct = representatives(arrays.det_emb)
        kept = used[first_rows(distinct[used])]
        self._embeddings = self._normalised(arrays.det_emb[kept])
        self._row = np.zeros(len(scene), np.int64)  # of a detection's embedding in `_embeddings`
        self._row[distinct[kept]] = np.arange(len(kept))
        self._row = self._row[distinct]

    @property
    def largest(self) -> int:
        """K."""
        return int(self._sizes.max(initial=0))

    def columns(self, entry: np.ndarray, detection: np.ndarray) -> np.ndarray:
        """Columns of detections (M,), rows of the arrays, whose scenes are these entries (M,) of the galleries."""
        return self._entry_column[entry] + self._place[detection]

    def rows(self, first: int, last: int) -> Tensor:
        """Similarities of queries first..last−1, float32 (C, K), −inf where nothing of the query's gallery stands."""
        rows = self._shared_rows(first, last) if self._galleries.shared else self._listed_rows(first, last)
        query = np.arange(first, last)
        entry = self._galleries.find(query, self._galleries.own_scene[query])
        query, entry = query[entry >= 0], entry[entry >= 0]
        owner, column = expand(self._entry_column[entry], self._scene_count[self._galleries.scenes[entry]])
        rows[self._tensor(query[owner] - first), self._tensor(column)] = -torch.inf
        return rows

    def _shared_rows(self, first: int, last: int) -> Tensor:
        rows = self._queries[first:last] @ self._embeddings.T
        detection = self._members(0, 1)[1]
        if len(self._embeddings) < len(detection):
            rows = rows[:, self._tensor(self._row[detection])]
        return rows if self._scores is None else rows.mul_(self._scores[self._tensor(detection)])

    def _listed_rows(self, first: int, last: int) -> Tensor:
        rows = torch.full((last - first, self.largest), -torch.inf, device=self._device)
        owner, detection = self._members(first, last)
        if len(detection):
            sizes = self._sizes[first:last]
            column = np.arange(len(detection)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
            values = self._products(first, last, detection)
            if self._scores is not None:
                values = values * self._scores[self._tensor(detection)]
            rows[self._tensor(owner), self._tensor(column)] = values
        return rows

    def _products(self, first: int, last: int, detection: np.ndarray) -> Tensor:
        """The wanted places of the product of queries and embeddings, row by row (M,); the rest is not computed."""
        ends = self._tensor(np.append(0, np.cumsum(self._sizes[first:last])))
        columns = self._tensor(self._row[detection])
        zeros = torch.zeros(len(detection), device=self._device)
        shape = (last - first, len(self._embeddings))
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Sparse CSR tensor support")
            wanted = torch.sparse_csr_tensor(ends, columns, zeros, shape, check_invariants=False)
            return torch.sparse.sampled_addmm(wanted, self._queries[first:last], self._embeddings.T, beta=0.0).values()

    def _members(self, first: int, last: int) -> tuple[np.ndarray, np.ndarray]:
        """Owner (0 for list `first`) and row of every detection of lists first..last−1, in the order of columns."""
        starts, counts = self._galleries.starts[first:last], self._galleries.counts[first:last]
        scenes = self._galleries.scenes[starts[0] : starts[-1] + counts[-1]]
        _, place = expand(self._scene_start[scenes], self._scene_count[scenes])
        return np.repeat(np.arange(last - first), self._sizes[first:last]), self._order[place]

    def _tensor(self, values: np.ndarray) -> Tensor:
        return torch.from_numpy(values).to(self._device)

    def _normalised(self, embeddings: np.ndarray) -> Tensor:
        return functional.normalize(self._tensor(embeddings.astype(np.float32, copy=False)), dim=1)


def representatives(embeddings: np.ndarray) -> np.ndarray:
    """For each row of `embeddings` (N, E) a row equal to it, the same one for all equal ones; int64 (N,)."""
    number = np.arange(len(embeddings))
    _, group_of, sizes = np.unique(embeddings[:, 0], return_inverse=True, return_counts=True)
    suspects = np.flatnonzero(sizes[group_of] > 1)  # comparing whole rows is slow, and nearly all differ in column 0
    if len(suspects):
        _, first, same = np.unique(embeddings[suspects], axis=0, return_index=True, return_inverse=True)
        number[suspects] = suspects[first[same.ravel()]]
    return number
