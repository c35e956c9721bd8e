"""Similarities of queries to every detection of their galleries: the one expensive step, on any device.

Letters: C queries of a chunk, K columns, N detections in the galleries' scenes, S scenes, E embedding dims.
"""

import warnings

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from spnet.evaluation.arrays import EvaluationArrays
from spnet.evaluation.protocols import Galleries
from spnet.ragged import concat_ranges, group, index_of

SPARSE = 1 / 8  # share of all pairs; a dot product by itself takes some ten times as long as one in a matrix product


class GallerySimilarity:
    """Cosine similarities in float32, as published numbers were made, times the detections' scores if wanted.

    Every query has a row of K columns. Where galleries hold many of the scenes, the columns are all N detections, from
    one matrix product; else they are the detections of the query's own gallery, and only those are computed. Equal
    embeddings tie exactly: the product, whose rounding may depend on the place, has each different one once.
    """

    def __init__(
        self, arrays: EvaluationArrays, galleries: Galleries, confidence_weighted: bool, device: torch.device | str
    ) -> None:
        self._galleries, self._device = galleries, torch.device(device)
        pairs = len(galleries.query_box) * len(arrays.image_ids)
        self._whole = galleries.shared or len(galleries.scenes) > SPARSE * pairs
        order = self._sort_by_scene(arrays)
        self._lay_out_columns()
        self._repeats: npt.NDArray[np.int64] | None = None
        self._scores = self._tensor(arrays.det_score[order].astype(np.float32)) if confidence_weighted else None
        if self._whole:
            kept, self._repeats = distinct_rows(arrays.det_emb[order])
            order = order if self._repeats is None else order[kept]
        self._embeddings = self._normalized(arrays.det_emb[order])
        self._queries = self._normalized(arrays.gt_emb[galleries.query_box])
        self._product = torch.empty(0, device=self._device)  # new memory takes as long as the product

    def queries_at_once(self, chunk: int) -> int:
        """How many queries to ask `rows` for so that about `chunk` numbers are held at a time."""
        numbers = self.width if self._whole else 10 * self.width  # each needs its indices beside it
        return max(1, chunk // max(1, numbers))

    def columns(self, entry: npt.NDArray[np.int64], detection: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Columns of detections (M,), rows of the arrays, whose scenes are these entries (M,) of the galleries."""
        return self._entry_column[entry] + self._place[detection]

    def rows(self, first: int, last: int) -> Tensor:
        """Similarities of queries first..last−1, float32 (C, K), −inf where a column is not of the query's gallery.

        The next call overwrites them.
        """
        rows = self._whole_product(first, last) if self._whole else self._listed_products(first, last)
        query = np.arange(first, last)
        entry = self._galleries.find(query, self._galleries.own_scene[query])
        query, entry = query[entry >= 0], entry[entry >= 0]
        owner, column = concat_ranges(self._entry_column[entry], self._scene_count[self._galleries.scenes[entry]])
        rows[self._tensor(query[owner] - first), self._tensor(column)] = -torch.inf
        return rows

    def _sort_by_scene(self, arrays: EvaluationArrays) -> npt.NDArray[np.int64]:
        """The detections in the galleries' scenes, scene by scene: rows of the arrays (N,)."""
        scene = index_of(arrays.image_ids, arrays.det_image)
        order, start, count = group(scene, len(arrays.image_ids))
        self._place = np.empty(len(order), np.int64)  # of a detection among those of its scene
        self._place[order] = np.arange(len(order)) - start[scene[order]]
        listed = np.zeros(len(arrays.image_ids), bool)
        listed[self._galleries.scenes] = True
        self._scene_count = count * listed
        self._scene_start = np.cumsum(self._scene_count) - self._scene_count
        return order[listed[scene[order]]]

    def _lay_out_columns(self) -> None:
        """Where the detections of each entry of the galleries begin, and K."""
        galleries = self._galleries
        before = np.append(0, np.cumsum(self._scene_count[galleries.scenes]))
        self._sizes = before[galleries.starts + galleries.counts] - before[galleries.starts]
        if self._whole:
            self._entry_column, self.width = self._scene_start[galleries.scenes], int(self._scene_count.sum())
        else:
            self._entry_column = before[:-1] - np.repeat(before[galleries.starts], galleries.counts)
            self.width = int(self._sizes.max(initial=0))

    def _whole_product(self, first: int, last: int) -> Tensor:
        rows = self._product.resize_(last - first, len(self._embeddings))
        torch.mm(self._queries[first:last], self._embeddings.T, out=rows)
        if self._repeats is not None:
            rows = rows[:, self._tensor(self._repeats)]
        if self._scores is not None:
            rows *= self._scores
        if not self._galleries.shared:
            listed = np.zeros((last - first, len(self._scene_count)), bool)
            listed[
                np.repeat(np.arange(last - first), self._galleries.counts[first:last]), self._scenes(first, last)
            ] = True
            rows.masked_fill_(self._tensor(~np.repeat(listed, self._scene_count, axis=1)), -torch.inf)
        return rows

    def _listed_products(self, first: int, last: int) -> Tensor:
        rows = torch.full((last - first, self.width), -torch.inf, device=self._device)
        scenes, sizes = self._scenes(first, last), self._sizes[first:last]
        members = self._tensor(concat_ranges(self._scene_start[scenes], self._scene_count[scenes])[1])
        if len(members):
            values = self._products(first, last, self._tensor(np.append(0, np.cumsum(sizes))), members)
            filled = torch.arange(self.width, device=self._device) < self._tensor(sizes)[:, None]
            rows.masked_scatter_(filled, values if self._scores is None else values * self._scores[members])
        return rows

    def _products(self, first: int, last: int, ends: Tensor, members: Tensor) -> Tensor:
        """The wanted places of the product of queries and embeddings, row by row (M,); the rest is not computed."""
        zeros = torch.zeros(len(members), device=self._device)
        shape = (last - first, len(self._embeddings))
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Sparse CSR tensor support")
            wanted = torch.sparse_csr_tensor(ends, members, zeros, shape, check_invariants=False)
            product: Tensor = torch.sparse.sampled_addmm(
                wanted, self._queries[first:last], self._embeddings.T, beta=0.0
            )
            return product.values()

    def _scenes(self, first: int, last: int) -> npt.NDArray[np.int64]:
        """The scenes of lists first..last−1, one after another."""
        starts, counts = self._galleries.starts, self._galleries.counts
        return self._galleries.scenes[starts[first] : starts[last - 1] + counts[last - 1]]

    def _tensor(self, values: npt.NDArray[np.generic]) -> Tensor:
        return torch.from_numpy(values).to(self._device)

    def _normalized(self, embeddings: npt.NDArray[np.floating]) -> Tensor:
        """The embeddings, which must be nobody else's, with length 1; zeros stay zeros."""
        tensor = self._tensor(embeddings.astype(np.float32, copy=False))
        return functional.normalize(tensor, dim=1, out=tensor)


def distinct_rows(embeddings: npt.NDArray[np.floating]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64] | None]:
    """Rows that together hold each different embedding of (N, E) once, (U,), and which of them equals each row (N,).

    The second is None where all differ. Signed zeros are equal.
    """
    equal_to = np.arange(len(embeddings))
    _, group_of, sizes = np.unique(embeddings[:, 0], return_inverse=True, return_counts=True)
    suspects = np.flatnonzero(sizes[group_of] > 1)  # comparing whole rows is slow, and nearly all differ in column 0
    _, first, same = np.unique(embeddings[suspects], axis=0, return_index=True, return_inverse=True)
    equal_to[suspects] = suspects[first[same.reshape(-1)]]
    kept, repeats = np.unique(equal_to, return_inverse=True)
    return kept, None if len(kept) == len(embeddings) else repeats
