"""k-reciprocal re-ranking: detections that share their neighbours with the query rise.

Zhong et al., "Re-ranking Person Re-identification with k-reciprocal Encoding" (CVPR 2017), equations 1 to 12, with the
distance d = 1 - cosine. Written from the paper. Two people are likely one if each is among the other's nearest, and if
they have the same such neighbours; so each gets a sparse vector of its reciprocal neighbours, and two vectors are
compared by their Jaccard index.

Letters: C queries, M candidates of each, P = C (M + 1) points: each query followed by its candidates.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from scipy.sparse import csr_array, diags_array
from torch import Tensor

from spnet.errors import UserError


@dataclass(frozen=True)
class KReciprocal:
    """Re-rank the most similar detections of each query by the neighbours they share with it."""

    k1: int = 20  # neighbours that are compared
    k2: int = 6  # of whose vectors the mean is taken, itself among them
    weight: float = 0.3  # of the cosine, λ of the paper; the Jaccard index has the rest
    depth: int = 1000  # most similar detections of a query that are looked at; the others keep their order, behind

    def __post_init__(self) -> None:
        for name in ("k1", "k2", "depth"):
            if getattr(self, name) < 1:
                raise UserError(f"{name} is {getattr(self, name)}: must be 1 or more")
        if not 0 < self.weight <= 1:
            raise UserError(f"weight is {self.weight:g}: must be above 0 and at most 1")


def jaccard_to_query(points: Tensor, present: Tensor, how: KReciprocal) -> Tensor:
    """Jaccard index of every candidate's reciprocal neighbours with those of its query, 0..1, float32 (C, M).

    `points` (C, M + 1, E) are normalized, the query's first; `present` bool (C, M + 1) says which there are, the others
    get 0. Equally near points are all neighbours, so that no order decides.
    """
    cosines = torch.bmm(points, points.mT)
    cosines.masked_fill_(~(present[:, :, None] & present[:, None, :]), -torch.inf)
    cosines.diagonal(dim1=1, dim2=2).masked_fill_(present, torch.inf)  # nearest to itself, whatever the rounding
    neighbours = _neighbour_lists(cosines, how)
    full, half = (_reciprocal(neighbours, k) for k in (how.k1, max(1, round(how.k1 / 2))))
    vectors = _mean_of_nearest(_encode(_expand(full, half), cosines), neighbours, how.k2)
    index = _jaccard_to_first(vectors, points.shape[1])
    return torch.from_numpy(index[:, 1:]).to(points.device)


@dataclass(frozen=True)
class _Neighbours:
    """Pairs of a point and one of its nearest, itself too, sorted by point."""

    point: npt.NDArray[np.int64]  # 0..P−1
    near: npt.NDArray[np.int64]
    cosine: npt.NDArray[np.float32]
    thresholds: npt.NDArray[np.float32]  # (P, k + 1) descending: the cosine of the k-th neighbour, of itself first

    def matrix(self, k: int) -> csr_array:
        """Ones (P, P) at the k nearest of each point, and at itself."""
        column = min(k, self.thresholds.shape[1] - 1)
        keep = self.cosine >= self.thresholds[self.point, column]
        return _ones(self.point[keep], self.near[keep], len(self.thresholds))


def _neighbour_lists(cosines: Tensor, how: KReciprocal) -> _Neighbours:
    size = cosines.shape[1]
    thresholds = cosines.topk(min(max(how.k1, how.k2 - 1) + 1, size), dim=2).values
    is_near = (cosines >= thresholds[:, :, -1:]) & (cosines > -torch.inf)
    query, row, column = is_near.nonzero(as_tuple=True)
    point, near = query * size + row, query * size + column
    flat = thresholds.flatten(0, 1)
    return _Neighbours(*(part.cpu().numpy() for part in (point, near, cosines[is_near], flat)))


def _reciprocal(neighbours: _Neighbours, k: int) -> csr_array:
    """R(p, k): the k nearest of p that have p among their own k nearest."""
    nearest = neighbours.matrix(k)
    return nearest.multiply(nearest.T).tocsr()


def _expand(full: csr_array, half: csr_array) -> csr_array:
    """R*(p, k1): joins R(q, k1 / 2) of each q in R(p, k1) that shares two thirds of it with R(p, k1)."""
    shared = (full @ half.T).multiply(full).tocoo()
    sizes = half.sum(axis=1)
    joins = 3 * shared.data >= 2 * sizes[shared.col]
    joined = _ones(shared.row[joins], shared.col[joins], full.shape[0]) @ half
    return (full + joined).tocsr()


def _encode(members: csr_array, cosines: Tensor) -> csr_array:
    """V: exp(-d) where a point is a member of another's set."""
    pairs, size = members.tocoo(), cosines.shape[1]
    query, row = np.divmod(pairs.row.astype(np.int64), size)
    flat = torch.from_numpy((query * size + row) * size + pairs.col % size).to(cosines.device)
    cosine = cosines.reshape(-1)[flat].clamp(max=1).cpu().numpy()
    return csr_array((np.exp(cosine - 1), (pairs.row, pairs.col)), shape=pairs.shape)


def _mean_of_nearest(vectors: csr_array, neighbours: _Neighbours, k2: int) -> csr_array:
    """Local query expansion: the mean of the vectors of a point and its k2 − 1 nearest."""
    nearest = neighbours.matrix(k2 - 1)
    counts = np.maximum(nearest.sum(axis=1), 1)
    return (diags_array(1 / counts) @ nearest @ vectors).tocsr()


def _jaccard_to_first(vectors: csr_array, size: int) -> npt.NDArray[np.float32]:
    """Sum of minima over sum of maxima of each vector with the first of its query's `size` points, (C, size)."""
    total = np.asarray(vectors.sum(axis=1)).reshape(-1, size)
    pairs = vectors.tocoo()
    query = pairs.row // size
    first = vectors[::size].tocoo()
    firsts = np.zeros((len(total), size), vectors.dtype)  # of each query over its own points
    firsts[first.row, first.col % size] = first.data
    minimum = np.minimum(pairs.data, firsts[query, pairs.col % size])
    shared = np.bincount(pairs.row, minimum, minlength=vectors.shape[0]).reshape(-1, size)
    union = total + total[:, :1] - shared
    index: npt.NDArray[np.float64] = np.divide(shared, union, where=union > 0, out=np.zeros(union.shape))
    return index.astype(np.float32)


def _ones(row: npt.NDArray[np.int64], column: npt.NDArray[np.int64], size: int) -> csr_array:
    return csr_array((np.ones(len(row), np.float32), (row, column)), shape=(size, size))
