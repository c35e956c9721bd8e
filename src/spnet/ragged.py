"""Lists of unequal lengths as flat arrays: what replaces the loops over scenes, persons and queries."""

import numpy as np
import numpy.typing as npt


def concat_ranges(
    starts: npt.NDArray[np.int64], counts: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The members of R ranges, `starts[r] .. starts[r] + counts[r] - 1`, one after another.

    Returns `owner` (M,), the range each member belongs to, and `member` (M,), both int64, with M = counts.sum().
    """
    owner = np.repeat(np.arange(len(counts)), counts)
    before = np.cumsum(counts) - counts
    member = np.arange(len(owner)) + np.repeat(starts - before, counts)
    return owner, member


def group(
    keys: npt.NDArray[np.int64], size: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Rows (N,) with keys in 0..size-1, as `size` ranges of one order.

    Returns `order` (N,), rows sorted by key and, within a key, as they came; `starts` and `counts` (size,): the rows
    with key k are `order[starts[k] : starts[k] + counts[k]]`.
    """
    counts = np.bincount(keys, minlength=size)
    return np.argsort(keys, kind="stable"), np.cumsum(counts) - counts, counts


def index_of(ids: npt.NDArray[np.int64], wanted: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The row of each `wanted` id (M,) in the unique `ids` (N,), −1 where it is not among them."""
    if not len(ids) or not len(wanted):
        return np.full(len(wanted), -1)
    low, high = int(ids.min()), int(ids.max())  # whose difference may not fit int64
    if high - low < 16 * len(ids):  # nearly always; a look-up is many times faster than a search
        table = np.full(high - low + 2, -1)
        table[ids - low] = np.arange(len(ids))
        return table[np.where((wanted >= low) & (wanted <= high), wanted - low, high - low + 1)]
    order = np.argsort(ids)
    rows = order[np.searchsorted(ids, wanted, sorter=order).clip(max=len(ids) - 1)]
    return np.where(ids[rows] == wanted, rows, -1)


def is_first(keys: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Whether each of the keys (N,) comes for the first time, bool (N,)."""
    first = np.zeros(len(keys), bool)
    first[np.unique(keys, return_index=True)[1]] = True
    return first
