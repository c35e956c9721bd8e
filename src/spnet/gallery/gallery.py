"""`Gallery`: one's own images and videos, indexed once, searched for people."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from spnet.data.sources import find_files
from spnet.data.video import check_fps
from spnet.errors import UserError
from spnet.gallery import corrections, filters
from spnet.gallery.calibration import Calibration, least_similarity
from spnet.gallery.indexer import Indexer, IndexReport, Progress
from spnet.gallery.lance import quote
from spnet.gallery.network import IndexNetwork
from spnet.gallery.query import Box, QueryLike, fuse, is_direction, locate, one_person, rocchio
from spnet.gallery.reranking import COLUMNS, HitReranking, prepare_reranking
from spnet.gallery.results import HIT_COLUMNS, Filter, Hit, SearchResult, make_hit
from spnet.gallery.schema import DETECTIONS, TRACKLETS, SourceRow
from spnet.gallery.second_look import look_again
from spnet.gallery.sources import make_sources
from spnet.gallery.store import Store
from spnet.gallery.times import parse_clock
from spnet.gallery.tracklets import Array, LinkingConfig, normalized
from spnet.inference.images import ImageLike
from spnet.inference.searcher import ImageDetections, Searcher
from spnet.models.hub import find_weights

FPS = 5.0
TOP = 20
COMMIT_SECONDS = 15.0
EVERYTHING, LINKING = Filter(), LinkingConfig()


class Gallery:
    """An index of people in images and videos.

    Example:
        >>> gallery = Gallery.open("people.index", weights="runs/mine", create=True)
        >>> gallery.add("videos", fps=5)
        >>> result = gallery.search([("query.jpg", [120, 80, 180, 260])], where=Filter(cameras=["gate"]))
        >>> result = gallery.feedback(result, right=[result.hits[0].id])
    """

    def __init__(self, uri: str, store: Store | None, network: IndexNetwork) -> None:
        self.uri, self._store, self._network = uri, store, network

    @classmethod
    def open(
        cls,
        uri: str | Path,
        weights: str | Path | None = None,
        device: str | None = None,
        batch_size: int = 4,
        create: bool = False,
    ) -> "Gallery":
        """Open an index.

        Args:
            uri: its folder, or where it lies on an object store (`s3://...`).
            weights: a finished run's folder, a weights file or `hf:org/name`; not given: those the index was made with.
            device: `cpu` or `cuda`; not given: CUDA where there is one.
            batch_size: images at once.
            create: if there is no index, the first `add` makes one, with `weights`.

        Raises:
            UserError: no index there, or one made with another network.
        """
        store = Store.find(str(uri)) if create else Store.open(str(uri))
        if store is None and weights is None:
            raise UserError(f"index {uri}: a new index needs weights")
        file, about = find_weights(weights) if weights else None, store.about() if store else {}
        return cls(str(uri), store, IndexNetwork(f"index {uri}", about, file, device, batch_size))

    @property
    def store(self) -> Store:
        """The tables. Raises UserError before anything is added to a new index."""
        if self._store is None:
            raise UserError(f"index {self.uri}: there is no index yet")
        return self._store

    @property
    def searcher(self) -> Searcher:
        """The network. Raises UserError where its weights are not there any more, or other ones than the index has."""
        return self._network.searcher

    @property
    def fingerprint(self) -> str:
        """Digest of the network's weights."""
        return self._network.fingerprint

    @property
    def calibration(self) -> Calibration | None:
        """What turns similarities into probabilities, None where nobody has calibrated the network."""
        return self._network.calibration

    def add(
        self,
        *sources: str | Path,
        fps: float | None = FPS,
        camera: str | None = None,
        start: str | float | None = None,
        tracks: bool = True,
        linking: LinkingConfig = LINKING,
        progress: Callable[[Progress], None] | None = None,
        commit_seconds: float = COMMIT_SECONDS,
        ray: str | None = None,
    ) -> IndexReport:
        """Index images, videos, folders and patterns; what is indexed is not done again, what was interrupted goes on.

        Args:
            sources: what to index.
            fps: frames a second that are read of a video; None: all.
            camera: name of the camera; not given: a video's name, an image's folder.
            start: clock time at which the videos begin, a date with a time or seconds since 1970; not given: what each
                file says.
            tracks: link the detections of a video into tracklets.
            linking: how.
            progress: called after every batch of frames.
            commit_seconds: how often what is found is written.
            ray: address of a Ray cluster whose machines detect and embed; `local` starts one on this machine.

        Raises:
            UserError: a name that stands for nothing, no cluster there; nothing is written then.
        """
        begin = parse_clock(start, "--start") if isinstance(start, str) else start
        check_fps(fps)
        files = find_files(sources)
        with self._network.detector(ray) as detector:
            dims = self.searcher.reid_dim
            store = self._store = self._store or Store.create(self.uri, dims, self._network.describe())
            with store.changing():
                wanted, unreadable = make_sources(files, self.sources(), fps, camera, begin, tracks)
                open_ones = list({row.id: row for row in wanted if not row.done}.values())
                indexer = Indexer(store, detector, self.fingerprint, linking, commit_seconds, progress)
                if open_ones:
                    indexer.run(open_ones)
        done, already = len(open_ones) - len(indexer.unreadable), len(wanted) - len(open_ones)
        return IndexReport(done, indexer.frames, already, (*unreadable, *indexer.unreadable))

    def people(self, image: ImageLike) -> ImageDetections:
        """Everyone in an image or a video's frame (`VIDEO@TIME`), best first. Raises UserError."""
        return self.searcher.detect([locate(image)])[0]

    def embed(self, query: QueryLike) -> Array:
        """The normalized embedding (E,) of a query. Raises UserError where it shows nobody, or several people."""
        if is_direction(query):
            return normalized(np.asarray(query, np.float32))
        image, box = one_person(query, self.people)
        (embedding,) = self.searcher.embed([image], [[box]])
        return normalized(embedding.float().cpu().numpy()[0])

    def search(
        self,
        queries: QueryLike | Sequence[QueryLike],
        top: int = TOP,
        where: Filter = EVERYTHING,
        min_similarity: float | None = None,
        min_probability: float | None = None,
        exact: bool | None = None,
        rerank: HitReranking | None = None,
    ) -> SearchResult:
        """Tracklets of the people most similar to a query.

        Args:
            queries: an image with one person, (image, box), or an embedding (E,); several of one person in a list are
                fused by the mean of their normalized embeddings. An image may be `VIDEO@TIME`.
            top: how many at most.
            where: which tracklets count.
            min_similarity: lowest cosine, -1..1.
            min_probability: lowest probability of a calibrated network.
            exact: compare with every row; not given: unless there is an approximate index.
            rerank: rank hits by more than their similarity (docs/evaluation.md, "Re-ranking").

        Raises:
            UserError: a query without a person, an unknown camera or file, `min_probability` without calibration,
                re-ranking by context matching without a query's image, `top` below 1.
        """
        if top < 1:
            raise UserError(f"top {top}: must be 1 or more")
        given: list[Any] = queries if isinstance(queries, list) else [queries]
        direction = fuse([self.embed(query) for query in given])
        reranking = None if rerank is None else prepare_reranking(rerank, given, self.people)
        limits = {"min_similarity": min_similarity, "min_probability": min_probability}
        return self._run(SearchResult([], direction, direction, top, where, limits, reranking=reranking), exact)

    def feedback(
        self, result: SearchResult, right: Iterable[str] = (), wrong: Iterable[str] = (), exact: bool | None = None
    ) -> SearchResult:
        """Search again after marks of hits by their id, on top of those that `result` has (Rocchio).

        q' = normalize(q + 0.75 mean(right) - 0.25 mean(wrong)). A mark in `right` takes an earlier one in wrong back,
        and the other way round. Raises UserError for an id that is not in the index.
        """
        right, wrong = frozenset(right), frozenset(wrong)
        good, bad = (result.right - wrong) | right, (result.wrong - right) | wrong
        direction = rocchio(result.query, self.embeddings(sorted(good)), self.embeddings(sorted(bad)))
        return self._run(replace(result, direction=direction, right=good, wrong=bad), exact)

    def second_look(
        self,
        result: SearchResult,
        queries: Sequence[tuple[ImageLike, Box]],
        progress: Callable[[Progress], None] | None = None,
    ) -> SearchResult:
        """Add people whom detection missed: the filter's images are searched again, along the query-centric pathway.

        Args:
            result: of a search; its filter says which cameras, files and times are looked through.
            queries: images with a box (4,), pixels xyxy: this pathway needs the query itself.
            progress: called after every frame.

        Raises:
            UserError: nothing to look through, or a file that cannot be read any more.
        """
        if result.reranking is not None:
            raise UserError("--rerank: hits of --pathway query have no embeddings to re-rank by")
        located = [one_person((image, box), self.people) for image, box in queries]
        spans = [span for source in self.sources() if (span := filters.span(source, result.where)) is not None]
        if not spans:
            raise UserError("--pathway query: no image of the index lies within the filter")
        hits = [*result.hits, *look_again(self.searcher, located, spans, self.store, progress)]
        return self._judge(replace(result, hits=sorted(hits, key=lambda hit: -hit.similarity)))

    def path(self, hit: Hit) -> list[tuple[float, Array]]:
        """Times (seconds) and boxes (4,) of a hit's person, by time."""
        own = [(time, np.asarray(box, np.float32)) for time, box in zip(hit.times, hit.boxes, strict=True)]
        return self.tracklet_path(hit.id) or sorted(own, key=lambda seen: seen[0])

    def tracklet_path(self, identity: str) -> list[tuple[float, Array]]:
        """Times (seconds) and boxes (4,) of a tracklet's detections, by time; nothing for an id there is not."""
        rows = self.store.rows(DETECTIONS, f"tracklet = {quote(identity)}", ["time", "box"])
        return [(row["time"], np.array(row["box"], np.float32)) for row in sorted(rows, key=lambda row: row["time"])]

    def merge(self, ids: Sequence[str]) -> str:
        """Make one tracklet of several of one file, which show one person; returns its id. Raises UserError."""
        with self.store.changing():
            return corrections.merge(self.store, ids)

    def split(self, identity: str, time: float) -> tuple[str, str]:
        """Make two tracklets of one at `time` (seconds in its file); returns their ids. Raises UserError."""
        with self.store.changing():
            return corrections.split(self.store, identity, time)

    def embeddings(self, ids: Sequence[str]) -> Array:
        """Normalized embeddings (n, E) of tracklets, in this order. Raises UserError for an id there is not."""
        rows = self.store.tracklets(ids, ["id", "embedding"])
        return np.array([row["embedding"] for row in rows], np.float32).reshape(len(ids), self.store.dims)

    def delete(
        self, persons: Iterable[str] = (), videos: Iterable[str | Path] = (), before: str | float | None = None
    ) -> int:
        """Remove rows with their embeddings and thumbnails for good, old versions of the tables too.

        Args:
            persons: ids of tracklets.
            videos: files as they were indexed; indexing them again is possible then.
            before: everything seen before this clock time, a date with a time or seconds since 1970.

        Returns:
            how many tracklets are gone.

        Raises:
            UserError: an id or a file that is not in the index.
        """
        return corrections.delete(self.store, persons, videos, before)

    def sources(self) -> list[SourceRow]:
        """The files of the index."""
        return self.store.sources()

    def cameras(self) -> list[str]:
        """Names of the cameras."""
        return sorted({source.camera for source in self.sources()})

    def detections(self, file: str | Path, first: float, last: float) -> list[dict[str, Any]]:
        """Single detections of a file between two places (seconds), by time. Raises UserError for another file."""
        (source,) = self.store.source_ids([file])
        return sorted(self.store.detections(source, first, last), key=lambda row: row["time"])

    def make_approximate(self) -> None:
        """Build the approximate index, for a million tracklets and more; rows added later are searched exactly."""
        with self.store.lock():
            self.store.make_index()

    def _run(self, result: SearchResult, exact: bool | None) -> SearchResult:
        reranking, where = result.reranking, filters.condition(result.where, self.store)
        columns = HIT_COLUMNS if reranking is None else (*HIT_COLUMNS, *COLUMNS)
        depth = result.top if reranking is None else reranking.depth(result.top)
        rows = self.store.nearest(TRACKLETS, result.direction, depth, where, columns, exact)
        hits = [make_hit(row) for row in rows]
        if reranking is not None:
            scores = reranking.scores(rows, result.direction, self.store)
            hits = [replace(hits[row], reranked=float(scores[row])) for row in np.argsort(-scores, kind="stable")]
        return self._judge(replace(result, hits=hits))

    def _judge(self, result: SearchResult) -> SearchResult:
        """The same with those of its hits that lie within its limits, and their probabilities."""
        calibration = self.calibration
        least = least_similarity(result.limits, calibration)
        hits = [hit for hit in result.hits if least is None or hit.similarity >= least][: result.top]
        if calibration is not None:
            hits = [replace(hit, probability=calibration.probability(hit.similarity)) for hit in hits]
        return replace(result, hits=hits, calibrated=calibration is not None)
