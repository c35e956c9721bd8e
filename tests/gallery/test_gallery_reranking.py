"""Search with re-ranking: off by default, and as plain loops over an index's rows would rank."""

import json
from dataclasses import replace
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from footage import render
from spnet import Gallery
from spnet.cli.main import main
from spnet.errors import UserError
from spnet.evaluation.context_matching import ContextMatching
from spnet.evaluation.k_reciprocal import KReciprocal, jaccard_to_query
from spnet.gallery.results import SearchResult
from spnet.gallery.schema import DETECTIONS, TRACKLETS


@pytest.fixture(scope="module")
def index(video: Path, weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("reranked")
    for number in range(3):
        Image.fromarray(render(0.7 * number, seed=number)).save(folder / f"{number}.png")
    Gallery.open(folder / "index", weights, create=True).add(
        folder / "0.png", folder / "1.png", video, fps=1, tracks=False
    )
    return folder / "index"


@pytest.fixture(scope="module")
def query(index: Path) -> tuple[Path, list[float]]:
    image = index.parent / "2.png"
    return image, Gallery.open(index).people(image).boxes[0].tolist()


def vectors(rows: list[dict[str, Any]]) -> np.ndarray[Any, np.dtype[np.float64]]:
    embeddings = np.array([row["embedding"] for row in rows], np.float64)
    return np.asarray(embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True))


def test_off_it_changes_nothing(index: Path, query: tuple[Path, list[float]]) -> None:
    result = Gallery.open(index).search(query, top=50)
    assert all(hit.reranked is None and "reranked" not in hit.as_record() for hit in result.hits)
    assert [hit.similarity for hit in result.hits] == sorted((hit.similarity for hit in result.hits), reverse=True)


def test_k_reciprocal_ranks_all_rows(index: Path, query: tuple[Path, list[float]]) -> None:
    import torch

    gallery = Gallery.open(index)
    how = KReciprocal(k1=5, k2=2)
    result = gallery.search(query, top=6, rerank=how)
    rows = gallery.store.rows(TRACKLETS)
    embeddings = vectors(rows)
    points = torch.from_numpy(np.concatenate([result.query[None], embeddings])).float()[None]
    present = torch.ones(points.shape[:2], dtype=torch.bool)
    expected = 0.3 * embeddings @ result.query + 0.7 * jaccard_to_query(points, present, how)[0].numpy()
    by_id = {row["id"]: value for row, value in zip(rows, expected, strict=True)}
    assert len(result) == 6
    scores = [hit.reranked for hit in result.hits]
    assert scores == pytest.approx([by_id[hit.id] for hit in result.hits], abs=0.02)  # embeddings are float16
    assert scores == pytest.approx(np.sort(expected)[::-1][:6], abs=0.02)
    again = gallery.feedback(result, right=[result.hits[0].id])
    assert all(hit.reranked is not None for hit in again.hits)


def test_context_matching_tries_all(index: Path, query: tuple[Path, list[float]]) -> None:
    gallery = Gallery.open(index)
    plain = gallery.search(query, top=1000)
    result = gallery.search(query, top=1000, rerank=ContextMatching(k1=4, k2=2))
    found = gallery.people(query[0])
    companions = found.embeddings.float().numpy()[1:3]
    left = [result.query, *(row / np.linalg.norm(row) for row in companions)]
    expected = {hit.id: hit.similarity for hit in plain.hits}
    frames = list(dict.fromkeys((hit.file, hit.times[0]) for hit in plain.hits))[:4]
    files = {source.id: source.file for source in gallery.sources()}
    for frame in frames:
        rows = [row for row in gallery.store.rows(DETECTIONS) if (files[row["source"]], row["time"]) == frame]
        cosines = np.array(left) @ vectors(rows).T
        choices = [*range(len(rows)), *[None] * len(left)]
        totals = {
            right: sum(cosines[a, b] for a, b in enumerate(right) if b is not None)
            for right in permutations(choices, len(left))
        }
        best = max(totals, key=lambda right: totals[right])
        if best[0] is not None:
            identity = rows[best[0]]["tracklet"]
            expected[identity] = max(expected[identity], totals[best])
    assert {hit.id: hit.reranked for hit in result.hits} == pytest.approx(expected, abs=0.02)
    assert max(hit.reranked or 0 for hit in result.hits) > 1
    assert result.hits[0].reranked == max(hit.reranked or 0 for hit in result.hits)


def test_what_it_cannot_do(index: Path, query: tuple[Path, list[float]]) -> None:
    gallery = Gallery.open(index)
    with pytest.raises(UserError, match="cbgm needs the query's image"):
        gallery.search(np.ones(8, np.float32), rerank=ContextMatching())
    result = gallery.search(np.ones(8, np.float32), rerank=KReciprocal())
    with pytest.raises(UserError, match="no embeddings to re-rank by"):
        gallery.second_look(result, [query])


@pytest.mark.parametrize("how", [KReciprocal(), ContextMatching()])
def test_nothing_to_rerank(index: Path, query: tuple[Path, list[float]], how: KReciprocal | ContextMatching) -> None:
    gallery = Gallery.open(index)
    result = gallery.search(query, rerank=how)
    nobody: SearchResult = replace(result, hits=[])
    assert nobody.reranking is not None
    assert nobody.reranking.scores([], result.direction, gallery.store).tolist() == []


def test_the_command(index: Path, query: tuple[Path, list[float]], capsys: pytest.CaptureFixture[str]) -> None:
    image, box = query
    command = ["search", str(index), "--query", str(image), "--box", *map(str, box), "--top", "3"]
    assert main([*command, "--rerank", "cbgm:k1=2"]) == 0
    assert "re-ranked" in capsys.readouterr().out
    assert main([*command, "--rerank", "k-reciprocal", "--json"]) == 0
    records = json.loads(capsys.readouterr().out)
    assert [record["reranked"] for record in records] == sorted((r["reranked"] for r in records), reverse=True)
    for options, message in (
        (["--rerank", "gallery-filter"], "there are no scores of a gallery filter"),
        (["--rerank", "cbgm", "--pathway", "query"], "hits of --pathway query have no embeddings"),
    ):
        assert main([*command, *options]) == 2
        assert message in capsys.readouterr().err
