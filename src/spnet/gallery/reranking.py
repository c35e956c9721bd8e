"""Re-ranking of hits, as in the evaluator: by neighbours they share with the query, or by the people around it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from spnet.errors import UserError
from spnet.evaluation.context_matching import ContextMatching, Graphs, match_graphs
from spnet.evaluation.k_reciprocal import KReciprocal, jaccard_to_query
from spnet.evaluation.reranking import OWN_IOU
from spnet.gallery.lance import quote
from spnet.gallery.query import QueryLike, is_direction, one_person
from spnet.gallery.schema import DETECTIONS
from spnet.gallery.store import Store
from spnet.gallery.tracklets import Array, buffered_iou, normalized
from spnet.inference.images import ImageLike
from spnet.inference.searcher import ImageDetections

HitReranking = KReciprocal | ContextMatching
COLUMNS = ("source", "embedding")  # of tracklets, which re-ranking needs beside those of a hit
Row = Mapping[str, Any]


@dataclass(frozen=True)
class Reranked:
    """How hits are re-ranked, with what has to be known of the query for it."""

    how: HitReranking
    companions: Array  # (n, E) normalized: the people beside the query in its image, most certain first

    def depth(self, top: int) -> int:
        """How many of the nearest tracklets to look at for the `top` best."""
        return max(top, self.how.depth if isinstance(self.how, KReciprocal) else self.how.k1)

    def scores(self, rows: Sequence[Row], direction: Array, store: Store) -> npt.NDArray[np.float64]:
        """What to rank the nearest tracklets (n,), most similar first, by."""
        if not rows:
            return np.zeros(0)
        cosines = np.array([1 - row["_distance"] for row in rows], np.float64)
        if isinstance(self.how, ContextMatching):
            return self._match(rows, cosines, direction, store)
        nearest = np.array([row["embedding"] for row in rows[: self.how.depth]], np.float32)
        points = torch.from_numpy(normalized(np.concatenate([direction[None], nearest])))[None]
        index = jaccard_to_query(points, torch.ones(points.shape[:2], dtype=torch.bool), self.how)[0].numpy()
        scores = self.how.weight * cosines
        scores[: len(index)] += (1 - self.how.weight) * index
        return scores

    def _match(
        self, rows: Sequence[Row], cosines: npt.NDArray[np.float64], direction: Array, store: Store
    ) -> npt.NDArray[np.float64]:
        """Cosines, and for who is matched with the query in a frame of the first hits the sum of the matching's."""
        frames = list(dict.fromkeys((row["source"], row["times"][0]) for row in rows))[: self.how.k1]
        where = " OR ".join(f"(source = {quote(source)} AND time = {time!r})" for source, time in frames)
        found = store.rows(DETECTIONS, where, ["source", "time", "tracklet", "embedding"])
        place = {frame: number for number, frame in enumerate(frames)}
        found.sort(key=lambda row: place[row["source"], row["time"]])
        embeddings = normalized(np.array([row["embedding"] for row in found], np.float32).reshape(-1, len(direction)))
        left = np.concatenate([direction[None], self.companions[: self.how.k2]])
        counts = np.bincount([place[row["source"], row["time"]] for row in found], minlength=len(frames))
        starts = np.cumsum(counts) - counts
        parts = np.split(left @ embeddings.T, starts[1:], axis=1)
        weight = np.concatenate([part.reshape(-1) for part in parts])
        partner, total = match_graphs(Graphs(np.full(len(frames), len(left)), counts, weight))
        numbers = {row["id"]: number for number, row in enumerate(rows)}
        scores = cosines.copy()
        for member, value in zip((starts + partner)[partner >= 0], total[partner >= 0], strict=True):
            if (number := numbers.get(found[member]["tracklet"])) is not None:
                scores[number] = max(scores[number], value)
        return scores


def prepare_reranking(
    how: HitReranking, queries: Sequence[QueryLike], people: Callable[[ImageLike], ImageDetections]
) -> Reranked:
    """What re-ranking needs of the queries. Raises UserError where context matching gets no image to find people in."""
    scores, embeddings = [np.zeros(0, np.float32)], []
    for query in queries if isinstance(how, ContextMatching) else ():
        if is_direction(query):
            raise UserError("re-ranking by cbgm needs the query's image: an embedding shows nobody beside it")
        pixels, box = one_person(query, people)
        found = people(pixels)
        boxes = found.boxes.float().cpu().numpy().reshape(-1, 4)
        others = buffered_iou(np.array([box], np.float32), boxes, 0.0)[0] < OWN_IOU
        scores.append(found.scores.float().cpu().numpy()[others])
        embeddings.append(normalized(found.embeddings.float().cpu().numpy()[others]))
    order = np.argsort(-np.concatenate(scores), kind="stable")
    return Reranked(how, np.concatenate(embeddings)[order] if embeddings else np.zeros((0, 0), np.float32))
