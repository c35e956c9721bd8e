"""Re-ranking, against references as slow and plain as possible, and by hand."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import permutations
from math import exp

import numpy as np
import numpy.typing as npt
import pytest
import torch
from evaluation_oracle import gallery_of, iou, random_gallery

from spnet.errors import UserError
from spnet.evaluation import similarity as similarity_module
from spnet.evaluation.arrays import EvaluationArrays
from spnet.evaluation.context_matching import ContextMatching, Graphs, match_graphs
from spnet.evaluation.gallery_filter import GalleryFilter
from spnet.evaluation.k_reciprocal import KReciprocal, jaccard_to_query
from spnet.evaluation.protocols import Protocol, resolve_protocol
from spnet.evaluation.rerank_options import Reranking, describe_reranking, parse_rerankings
from spnet.evaluation.reranking import make_reranker
from spnet.evaluation.retrieval import evaluate
from spnet.evaluation.similarity import GallerySimilarity

Pools = Iterator[tuple[int, list[int]]]


def unit(vector: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    length = float(np.linalg.norm(vector.astype(float)))
    return vector.astype(float) / length if length else vector.astype(float)


def pools(arrays: EvaluationArrays, protocol: Protocol) -> Pools:
    """Each query's row of the annotated boxes, and the detections of its gallery."""
    for number, annotation in enumerate(protocol.queries.tolist()):
        query = arrays.gt_annotation.tolist().index(annotation)
        scenes = set(gallery_of(arrays, protocol, number)) - {int(arrays.gt_image[query])}
        yield query, [row for row, scene in enumerate(arrays.det_image.tolist()) if scene in scenes]


def reranked(arrays: EvaluationArrays, protocol: Protocol, how: Reranking, chunk: int = 1000) -> list[dict[int, float]]:
    """What our code makes of the similarities: for each query, those of the detections of its gallery."""
    galleries = resolve_protocol(protocol, arrays)
    cosines = GallerySimilarity(arrays, galleries, False, "cpu")
    reranker = make_reranker(how, arrays, galleries, cosines)
    step = min(reranker.queries_at_once(chunk), 3)
    found: list[dict[int, float]] = []
    for first in range(0, len(protocol.queries), step):
        last = min(len(protocol.queries), first + step)
        rows = reranker.rerank(cosines.rows(first, last), first, last)
        for place, (_, pool) in enumerate(list(pools(arrays, protocol))[first:last]):
            scene = np.searchsorted(np.sort(arrays.image_ids), arrays.det_image[pool])
            scene = np.argsort(arrays.image_ids)[scene]
            entry = galleries.find(np.full(len(pool), first + place), scene)
            columns = cosines.columns(entry, np.array(pool, int))
            found.append(dict(zip(pool, rows[place][torch.from_numpy(columns)].tolist(), strict=True)))
            assert int((rows[place] > -torch.inf).sum()) <= len(pool)
    return found


def naive_k_reciprocal(points: list[npt.NDArray[np.float64]], k1: int, k2: int, weight: float) -> list[float]:
    """λ cos + (1 − λ) Jaccard of all points but the first with the first, by sets and loops."""
    everyone = range(len(points))
    cosine = [[float(np.float32(a @ b)) for b in points] for a in points]

    def near(p: int, k: int) -> set[int]:
        others = sorted((cosine[p][q] for q in everyone if q != p), reverse=True)
        return {p} | {q for q in everyone if q != p and (len(others) <= k or (k > 0 and cosine[p][q] >= others[k - 1]))}

    def reciprocal(p: int, k: int) -> set[int]:
        return {q for q in near(p, k) if p in near(q, k)}

    def vector(p: int) -> list[float]:
        members = reciprocal(p, k1)
        for q in reciprocal(p, k1):
            half = reciprocal(q, max(1, round(k1 / 2)))
            if 3 * len(reciprocal(p, k1) & half) >= 2 * len(half):
                members |= half
        return [exp(min(cosine[p][q], 1) - 1 if p != q else 0) if q in members else 0 for q in everyone]

    vectors = [vector(p) for p in everyone]
    means = [[sum(vectors[q][c] for q in near(p, k2 - 1)) / len(near(p, k2 - 1)) for c in everyone] for p in everyone]
    scores = []
    for p in everyone[1:]:
        union = sum(max(a, b) for a, b in zip(means[0], means[p], strict=True))
        shared = sum(min(a, b) for a, b in zip(means[0], means[p], strict=True))
        scores.append(weight * cosine[0][p] + (1 - weight) * (shared / union if union else 0))
    return scores


@pytest.mark.parametrize("sparse", [0, 2])
def test_k_reciprocal_agrees_with_a_naive_one(sparse: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """On galleries with many exact ties, in both ways to multiply."""
    monkeypatch.setattr(similarity_module, "SPARSE", sparse)
    checked = 0
    for seed in range(0, 20, 2):
        arrays, protocol = random_gallery(seed)
        how = KReciprocal(k1=1 + seed % 5, k2=1 + seed % 3, weight=0.3 if seed % 4 else 1.0)
        ours = reranked(arrays, protocol, how, chunk=1 + 10 * seed)
        for (query, pool), found in zip(pools(arrays, protocol), ours, strict=True):
            points = [unit(arrays.gt_emb[query]), *(unit(arrays.det_emb[row]) for row in pool)]
            expected = naive_k_reciprocal(points, how.k1, how.k2, how.weight)
            assert [found[row] for row in pool] == pytest.approx(expected, abs=2e-6), seed
            checked += len(pool)
    assert checked > 100


def test_what_lies_deeper_keeps_its_order_behind() -> None:
    random = np.random.default_rng(0)
    arrays, _ = random_gallery(3)
    number = 40
    arrays = replace(
        arrays,
        det_image=np.full(number, arrays.image_ids[-1]),
        det_box=np.tile(arrays.det_box[:1], (number, 1)),
        det_score=np.ones(number, np.float32),
        det_emb=random.standard_normal((number, 16), np.float32),
    )
    query = int(np.flatnonzero(arrays.gt_image != arrays.image_ids[-1])[0])
    protocol = Protocol(arrays.gt_annotation[[query]])
    cosines = np.array([unit(arrays.gt_emb[query]) @ unit(row) for row in arrays.det_emb])
    nearest = np.argsort(-cosines)
    (found,) = reranked(arrays, protocol, KReciprocal(k1=3, k2=2, depth=10))
    points = [unit(arrays.gt_emb[query]), *(unit(arrays.det_emb[row]) for row in nearest[:10])]
    assert [found[row] for row in nearest[:10]] == pytest.approx(naive_k_reciprocal(points, 3, 2, 0.3), abs=1e-5)
    assert [found[row] for row in nearest[10:]] == pytest.approx(0.3 * cosines[nearest[10:]], abs=1e-6)


def test_shared_neighbours_raise_a_detection() -> None:
    """Two candidates of equal cosine to the query: one is near what the query is near, one is near strangers."""
    axes = np.eye(6, dtype=np.float32)
    query = axes[0]
    friends = [axes[0] + 0.3 * axes[1], axes[0] + 0.3 * axes[2]]
    candidate, rival = axes[0] + 0.8 * (axes[1] + axes[2]) / 2**0.5, axes[0] + 0.8 * axes[3]
    strangers = [0.2 * axes[0] + axes[3] + 0.1 * axes[4], 0.2 * axes[0] + axes[3] + 0.1 * axes[5]]
    points = torch.from_numpy(np.stack([unit(row) for row in (query, *friends, candidate, rival, *strangers)])).float()
    index = jaccard_to_query(points[None], torch.ones(1, 7, dtype=torch.bool), KReciprocal(k1=3, k2=1))[0]
    assert points[0] @ points[3] == pytest.approx(float(points[0] @ points[4]), abs=1e-6)
    assert index[2] > index[3] + 0.2


def naive_cbgm(arrays: EvaluationArrays, query: int, pool: list[int], how: ContextMatching) -> dict[int, float]:
    """The best of all matchings, by trying them."""
    direction, box = unit(arrays.gt_emb[query]), arrays.gt_box[query]
    found = {row: float(direction @ unit(arrays.det_emb[row])) for row in pool}
    own = [row for row in range(len(arrays.det_image)) if arrays.det_image[row] == arrays.gt_image[query]]
    own = [row for row in own if iou(box, arrays.det_box[row]) < 0.5]
    companions = sorted(own, key=lambda row: -arrays.det_score[row])[: how.k2]
    left = [direction, *(unit(arrays.det_emb[row]) for row in companions)]
    scenes = {int(arrays.det_image[row]) for row in pool}
    members = {scene: [row for row in pool if arrays.det_image[row] == scene] for scene in scenes}
    best = sorted(scenes, key=lambda scene: -max(found[row] for row in members[scene]))[: how.k1]
    for scene in best:
        choices = [*members[scene], *([None] * len(left))]
        totals = {}
        for right in set(permutations(choices, len(left))):
            pairs = [(a, row) for a, row in zip(left, right, strict=True) if row is not None]
            totals[right] = sum(float(a @ unit(arrays.det_emb[row])) for a, row in pairs)
        matching = max(totals, key=lambda right: totals[right])
        if matching[0] is not None:
            found[matching[0]] = totals[matching]
    return found


@pytest.mark.parametrize("sparse", [0, 2])
def test_context_matching_agrees_with_trying_all(sparse: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(similarity_module, "SPARSE", sparse)
    changed = 0
    for seed in range(30):
        arrays, protocol = random_gallery(seed)
        random, number = np.random.default_rng(seed), len(arrays.det_image)
        kept = random.permutation(number)[:14]  # all matchings are tried
        arrays = replace(
            arrays,
            gt_emb=random.standard_normal(arrays.gt_emb.shape, np.float32),
            det_image=arrays.det_image[kept],
            det_box=arrays.det_box[kept],
            det_score=random.permutation(100)[: len(kept)].astype(np.float32) / 100,
            det_emb=random.standard_normal((len(kept), 16), np.float32),
        )
        how = ContextMatching(k1=1 + seed % 3, k2=seed % 3)
        ours = reranked(arrays, protocol, how)
        for (query, pool), found in zip(pools(arrays, protocol), ours, strict=True):
            assert found == pytest.approx(naive_cbgm(arrays, query, pool, how), abs=1e-5), seed
            changed += sum(
                bool(value > unit(arrays.gt_emb[query]) @ unit(arrays.det_emb[row]) + 1e-3)
                for row, value in found.items()
            )
    assert changed > 10


def test_a_companion_takes_its_own_likeness() -> None:
    """The query looks a little more like B than like A, but its companion looks much like B."""
    weight = np.array([0.6, 0.7, 0.1, 0.9])  # query–A, query–B, companion–A, companion–B
    partner, total = match_graphs(Graphs(np.array([2]), np.array([2]), weight))
    assert (partner.tolist(), total.tolist()) == ([0], pytest.approx([1.5]))


def test_matching_nobody() -> None:
    none = np.zeros(0, np.int64)
    assert [len(part) for part in match_graphs(Graphs(none, none, none.astype(float)))] == [0, 0]
    partner, total = match_graphs(Graphs(np.array([1, 2]), np.array([2, 0]), np.array([-0.5, -0.1])))
    assert (partner.tolist(), total.tolist()) == ([-1, -1], [0, 0])


def test_the_filters_score_multiplies() -> None:
    for seed in range(20):
        arrays, protocol = random_gallery(seed)
        random = np.random.default_rng(seed)
        scores = random.random((len(protocol.queries), len(arrays.image_ids)), np.float32)
        how = GalleryFilter(protocol.queries, scores, threshold=0.3)
        for number, ((query, pool), found) in enumerate(
            zip(pools(arrays, protocol), reranked(arrays, protocol, how), strict=True)
        ):
            for row in pool:
                score = scores[number, arrays.image_ids.tolist().index(arrays.det_image[row])]
                cosine = unit(arrays.gt_emb[query]) @ unit(arrays.det_emb[row])
                assert found[row] == pytest.approx(cosine * score if score >= 0.3 else -np.inf, abs=1e-6)


@pytest.mark.parametrize("text", ["k-reciprocal", "cbgm", "gallery-filter"])
def test_nothing_to_rerank(text: str) -> None:
    arrays, _ = random_gallery(0)
    protocol = Protocol(arrays.gt_annotation[:2])
    scores = GalleryFilter(protocol.queries, np.ones((2, len(arrays.image_ids))))
    (how,) = parse_rerankings([text], scores).values()
    for empty in (Protocol(protocol.queries, np.empty(0, np.int64)), protocol):
        nothing = arrays if empty is not protocol else without_detections(arrays)
        result = evaluate(nothing, empty, reranking=how)
        assert result.average_precisions.tolist() == [0, 0]
        assert result.first_match_ranks.tolist() == [0, 0]


def without_detections(arrays: EvaluationArrays) -> EvaluationArrays:
    names = ("det_image", "det_box", "det_score", "det_emb")
    return replace(arrays, **{name: getattr(arrays, name)[:0] for name in names})


def test_options_are_read() -> None:
    found = parse_rerankings(["k-reciprocal:k1=10,weight=0.5", "cbgm"])
    assert found == {"k-reciprocal": KReciprocal(k1=10, weight=0.5), "cbgm": ContextMatching()}
    assert describe_reranking("cbgm", found["cbgm"]) == "cbgm:k1=30,k2=4"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("magic", "--rerank magic: there is no 'magic'; choose one of k-reciprocal, cbgm, gallery-filter"),
        ("cbgm:k9=1", "there is no 'k9'; the parameters are k1, k2"),
        ("cbgm:k1=1.5", "k1 is '1.5', not a whole number"),
        ("cbgm:k1=0", "k1 is 0 and k2 4: must be 1 and 0 or more"),
        ("k-reciprocal:weight=2", "weight is 2: must be above 0 and at most 1"),
        ("k-reciprocal:weight=nan", "weight is nan"),
        ("k-reciprocal:depth=0", "depth is 0: must be 1 or more"),
        ("gallery-filter", "there are no scores of a gallery filter"),
    ],
)
def test_wrong_options_are_named(text: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        parse_rerankings([text])
    with pytest.raises(UserError, match="--rerank cbgm: given twice"):
        parse_rerankings(["cbgm", "cbgm"])


def test_filters_that_do_not_fit_are_named() -> None:
    arrays, protocol = random_gallery(0)
    queries, scenes = protocol.queries, len(arrays.image_ids)
    with pytest.raises(UserError, match="is not in filter_query"):
        evaluate(arrays, protocol, reranking=GalleryFilter(queries + 10_000, np.ones((len(queries), scenes))))
    with pytest.raises(UserError, match=f"filter_score has {scenes + 1} scenes, image_ids {scenes}"):
        evaluate(arrays, protocol, reranking=GalleryFilter(queries, np.ones((len(queries), scenes + 1))))
    with pytest.raises(UserError, match=r"filter_score\[0, 1\] \(query 7\) is nan: not in 0 to 1"):
        GalleryFilter(np.array([7]), np.array([[0.5, np.nan]]))
    with pytest.raises(UserError, match="choose one of them"):
        evaluate(arrays, protocol, reranking=ContextMatching(), confidence_weighted=True)
