"""Context bipartite graph matching (CBGM): the people around the query help to find it.

Li & Miao, "Sequential End-to-end Network for Efficient Person Search" (AAAI 2021). Written from the paper's idea, not
from its code: in the scenes that look most promising, the query and the people of its own scene are matched with those
who are there, each with one, so that the sum of cosines is largest (Kuhn-Munkres). Whoever is matched with the query
gets that sum, so scenes in which its companions are too come first; somebody who looks like the query but more like a
companion does not.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array
from scipy.sparse.csgraph import min_weight_full_bipartite_matching

from spnet.errors import UserError
from spnet.ragged import concat_ranges

TOGETHER = 64  # graphs matched in one call: SciPy looks at the whole matrix for each row


@dataclass(frozen=True)
class ContextMatching:
    """Match the people around the query in the scenes that are most similar to it."""

    k1: int = 30  # scenes, by their most similar detection
    k2: int = 4  # people of the query's scene, by their detection score

    def __post_init__(self) -> None:
        if self.k1 < 1 or self.k2 < 0:
            raise UserError(f"k1 is {self.k1} and k2 {self.k2}: must be 1 and 0 or more")


@dataclass(frozen=True)
class Graphs:
    """B complete bipartite graphs. Left: the query first, then its companions. Right: the detections of a scene.

    Edges stand graph by graph, in each left by left.
    """

    left: npt.NDArray[np.int64]  # (B,) at least 1
    right: npt.NDArray[np.int64]  # (B,)
    weight: npt.NDArray[np.floating]  # (sum of left · right,)


def match_graphs(graphs: Graphs) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Whom the query is matched with, a place among the right (B,), −1 for nobody; and the sum of weights (B,).

    The matching has the largest sum; nobody is matched at a weight below 0.
    """
    partner, total = np.full(len(graphs.left), -1), np.zeros(len(graphs.left))
    ends = np.cumsum(graphs.left * graphs.right)
    for first in range(0, len(graphs.left), TOGETHER):
        part = slice(first, first + TOGETHER)
        begin = ends[first] - graphs.left[first] * graphs.right[first]
        weight = graphs.weight[begin : ends[part][-1]]
        partner[part], total[part] = _match(Graphs(graphs.left[part], graphs.right[part], weight))
    return partner, total


def _match(graphs: Graphs) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """One matching of all graphs side by side, in a sparse matrix of blocks.

    Each of the left has a column of its own beside the right ones, at weight 0: matched there, it is matched with
    nobody. All weights are raised by 1, which changes no choice, since all of the left are matched: SciPy takes 0 for
    no edge.
    """
    row_start, column_start = (np.cumsum(sizes) - sizes for sizes in (graphs.left, graphs.right))
    rows, columns = int(graphs.left.sum()), int(graphs.right.sum())
    graph, place = concat_ranges(np.zeros_like(graphs.left), graphs.left * graphs.right)
    left, right = np.divmod(place, graphs.right[graph])
    possible = graphs.weight > 0
    row = np.concatenate([(row_start[graph] + left)[possible], np.arange(rows)])
    column = np.concatenate([(column_start[graph] + right)[possible], columns + np.arange(rows)])
    weight = np.concatenate([graphs.weight[possible].astype(np.float64) + 1, np.ones(rows)])
    matrix = csr_array((weight, (row, column)), shape=(rows, columns + rows))
    matched_row, matched = min_weight_full_bipartite_matching(matrix, maximize=True)
    gained = np.asarray(matrix[matched_row, matched]).reshape(-1) - 1
    owner = np.repeat(np.arange(len(graphs.left)), graphs.left)
    of_query = matched[np.searchsorted(matched_row, row_start)]
    partner = np.where(of_query < columns, of_query - column_start, -1)
    total = np.bincount(owner[matched_row], gained, minlength=len(graphs.left)).astype(np.float64)
    return partner.astype(np.int64), total
