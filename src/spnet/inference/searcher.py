"""Apply a network to one's own images: detect, embed, find."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby, islice
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.functional import normalize

from spnet.config.schema import ModelConfig, PathwayName
from spnet.data.dataloader import collate, padded_size
from spnet.data.prefetch import batches, prefetch
from spnet.data.video import check_fps, is_live
from spnet.errors import UserError
from spnet.inference.frames import Source, list_sources, read_sources
from spnet.inference.images import ImageLike, make_image_sample, read_pixels
from spnet.models.checkpoints import load_network, save_weights
from spnet.models.fpn import FeatureMaps
from spnet.models.inference import detect_all, embed_regions, iter_query_detections, with_cosines
from spnet.models.spnet import SPNet
from spnet.types import Detections, SceneBatch

AHEAD = 3  # batches that are decoded in advance
Boxes = Tensor | Sequence[Sequence[float]]  # (n, 4) pixels xyxy


@dataclass(frozen=True)
class ImageDetections:
    """The people of one image, best first; boxes are pixels xyxy of that image."""

    boxes: Tensor  #: (n, 4)
    scores: Tensor  #: (n,) in 0..1
    embeddings: Tensor  #: (n, E) re-id, not normalized


@dataclass(frozen=True)
class Prediction(ImageDetections):
    """The people of one image or one frame of a video, best first, and where it comes from."""

    file: str | None  # a file's absolute path, or an address; None of pixels that were given as such
    time: float  # seconds from the video's first frame; 0 of an image
    pixels: npt.NDArray[np.uint8]  # (H, W, 3) RGB


@dataclass(frozen=True)
class Ranking:
    """The people of all images, most similar to one query first."""

    image: Tensor  #: (n,) int64, index into the images
    boxes: Tensor  #: (n, 4) pixels xyxy of that image
    scores: Tensor  #: (n,) detection scores
    similarity: Tensor  #: (n,) cosine to the query, -1..1


class Searcher:
    """A network with what it needs to look at images of any size.

    Args:
        network: a network, or the configuration of a new one.
        device: where it runs.
        batch_size: images at once, if they follow one another and are padded to the same size.

    Example:
        >>> searcher = Searcher.load("runs/prw")
        >>> people = searcher.detect(["street.jpg"])[0]
        >>> for frame in searcher.predict("gate.mp4", fps=2):
        ...     print(frame.time, frame.boxes, frame.scores)
        >>> ranking = searcher.find(gallery, queries=[("street.jpg", people.boxes[0])])[0]
    """

    def __init__(self, network: SPNet | ModelConfig, device: torch.device | str = "cpu", batch_size: int = 4) -> None:
        self._network = (SPNet(network) if isinstance(network, ModelConfig) else network).to(device).eval()
        self.device = torch.device(device)
        self.batch_size = batch_size

    @classmethod
    def load(cls, source: str | Path, device: torch.device | str = "cpu", batch_size: int = 4) -> "Searcher":
        """From a finished run's folder, a weights file, `hf:org/name`, or an ONNX file of `spnet export`.

        Raises:
            UserError: there is none, it does not fit, or ONNX Runtime is missing.
        """
        if Path(source).suffix == ".onnx":
            from spnet.inference.onnx_searcher import OnnxSearcher

            return OnnxSearcher.load(source, device, batch_size)
        return cls(load_network(source), device, batch_size)

    @property
    def network(self) -> SPNet:
        """The network."""
        return self._network

    @property
    def reid_dim(self) -> int:
        """E, dimensions of an embedding."""
        return self.network.config.reid_dim

    @property
    def window(self) -> tuple[int, int]:
        """Largest shortest and longest side an image is resized to, pixels."""
        return self.network.config.inference.min_size, self.network.config.inference.max_size

    def save(self, file: str | Path) -> None:
        """Write weights and configuration as safetensors."""
        save_weights(Path(file), self.network, "object")

    @torch.no_grad()
    def detect(self, images: Sequence[ImageLike]) -> list[ImageDetections]:
        """Everyone in each image (object-centric). Raises UserError for a file that is no image."""
        found: list[ImageDetections] = []
        for batch in self._batches(images):
            table = _to_file_pixels(self._detect(batch), batch)
            for scene in range(len(batch.images)):
                rows = table.scene == scene
                found.append(ImageDetections(table.boxes[rows], table.scores[rows], table.embeddings[rows]))
        return found

    def predict(
        self, source: Source, fps: float | None = None, on_error: Callable[[UserError], None] | None = None
    ) -> Iterator[Prediction]:
        """Everyone in each image and frame of a source, one after the other as they are asked for (object-centric).

        No video is held in memory: a few batches of frames are decoded ahead in another thread. Of a live stream
        (`rtsp://...`) those frames are left out that come while the network is at work, so that a prediction is of now.

        Args:
            source: an image or a video by its path, a folder (at any depth), a pattern, the address of a video or of a
                live stream, a PIL image, an array (H, W, 3), a tensor (3, H, W), or a list of these.
            fps: frames a second that are read of a video; None: all.
            on_error: called with what is wrong with a file that cannot be read; the next ones are read then.

        Raises:
            UserError: at once for a name that stands for nothing; while iterating, for a file that cannot be read if
                there is no `on_error`.
        """
        check_fps(fps)
        return self._predict(list_sources(source), fps, on_error)

    def _predict(
        self, sources: Iterable[ImageLike], fps: float | None, on_error: Callable[[UserError], None] | None
    ) -> Iterator[Prediction]:
        for live, group in groupby(sources, lambda source: isinstance(source, str) and is_live(source)):
            size = 1 if live else self.batch_size
            frames = prefetch(read_sources(list(group), fps, on_error), 1 if live else AHEAD * size, newest=live)
            for batch in batches(frames, size):
                found = self.detect([frame.pixels for frame in batch])
                for frame, people in zip(batch, found, strict=True):
                    yield Prediction(**vars(people), **vars(frame))

    @torch.no_grad()
    def embed(self, images: Sequence[ImageLike], boxes: Sequence[Boxes]) -> list[Tensor]:
        """Re-id embeddings (n, E) of the boxes (n, 4) of each image, pixels xyxy. Raises UserError."""
        return self._embed(images, boxes, self._embed_places)

    @torch.no_grad()
    def find(
        self,
        images: Iterable[ImageLike],
        queries: Sequence[tuple[ImageLike, Tensor | Sequence[float]]],
        pathway: PathwayName = "object",
    ) -> list[Ranking]:
        """Rank the people of all images by likeness to each query, an image and one box (4,) in it.

        Args:
            images: the gallery; read as they are needed.
            queries: whom to find.
            pathway: `object` detects everyone once and ranks; `query` looks for each query in every image.

        Raises:
            UserError: a file that is no image, or an unknown pathway.
        """
        if pathway not in ("object", "query"):
            raise UserError(f"pathway {pathway!r} is unknown; choose 'object' or 'query'")
        query_images = [image for image, _ in queries]
        boxes = [torch.as_tensor(box, dtype=torch.float32).reshape(1, 4) for _, box in queries]
        if not queries:
            return []
        directions = normalize(torch.cat(self.embed(query_images, boxes)))
        if pathway == "object":
            everyone = self._tables(images, lambda batch: [self._detect(batch)])
            return [_rank(everyone, direction) for direction in directions]
        head = partial(self.network.location_embed, 1)
        located = torch.cat(
            self._embed(query_images, boxes, lambda batch, *places: embed_regions(head, self._features(batch), *places))
        )
        located, own = located.to(self.device), directions.to(self.device)
        table = self._tables(
            images,
            lambda batch: (
                with_cosines(found, own)
                for found in iter_query_detections(self.network, self._features(batch), located)
            ),
        )
        return _rank_by_query(table, len(queries))

    def _features(self, batch: SceneBatch) -> FeatureMaps:
        return self.network.features(batch.images, batch.sizes)

    def _detect(self, batch: SceneBatch) -> Detections:
        """Everyone in the scenes of a batch."""
        return detect_all(self.network, self._features(batch))

    def _embed_places(self, batch: SceneBatch, boxes: Tensor, scene: Tensor) -> Tensor:
        """Re-id embeddings (R, E) of boxes (R, 4) in scenes (R,) of a batch."""
        return embed_regions(self.network.embed, self._features(batch), boxes, scene)

    def _tables(self, images: Iterable[ImageLike], find: Callable[[SceneBatch], Iterable[Detections]]) -> Detections:
        """Detections of all images as one table; `scene` is the index of the image."""
        tables, seen = [], 0
        for batch in self._batches(images):
            tables += [
                replace(table, scene=table.scene + seen)
                for table in (_to_file_pixels(found, batch) for found in find(batch))
            ]
            seen += len(batch.images)
        if not tables:
            raise UserError("no images are given")
        return Detections(**{name: torch.cat([getattr(table, name) for table in tables]) for name in vars(tables[0])})

    def _embed(
        self,
        images: Sequence[ImageLike],
        boxes: Sequence[Boxes],
        embed: Callable[[SceneBatch, Tensor, Tensor], Tensor],
    ) -> list[Tensor]:
        if len(boxes) != len(images):
            raise UserError(f"{len(images)} images but boxes for {len(boxes)}")
        embedded: list[Tensor] = []
        for batch in self._batches(images):
            given = boxes[len(embedded) : len(embedded) + len(batch.images)]
            mine = [torch.as_tensor(part, dtype=torch.float32).reshape(-1, 4) for part in given]
            counts = [len(part) for part in mine]
            scene = torch.arange(len(mine)).repeat_interleave(torch.tensor(counts)).to(self.device)
            placed = torch.cat(mine).to(self.device) * batch.scales[scene].repeat(1, 2)
            embedded += embed(batch, placed, scene).cpu().split(counts)
        return embedded

    def _batches(self, images: Iterable[ImageLike]) -> Iterator[SceneBatch]:
        """Images in their order; those of a batch have one padded size, so that they do not touch one another."""
        inference = self.network.config.inference
        views = (make_image_sample(read_pixels(image), inference) for image in images)
        for _, alike in groupby(views, lambda view: padded_size(view.image.shape)):
            while part := list(islice(alike, self.batch_size)):
                yield collate([part]).to(self.device)


def _to_file_pixels(table: Detections, batch: SceneBatch) -> Detections:
    return replace(table, boxes=table.boxes / batch.scales[table.scene].repeat(1, 2)).to("cpu")


def _rank(found: Detections, direction: Tensor) -> Ranking:
    """Most similar first."""
    similarity = normalize(found.embeddings) @ direction
    order = similarity.argsort(descending=True, stable=True)
    return Ranking(found.scene[order], found.boxes[order], found.scores[order], similarity[order])


def _rank_by_query(found: Detections, queries: int) -> list[Ranking]:
    """What each of Q queries found itself, most similar first; embeddings (M, 1) are the cosines to the query."""
    similarity = found.embeddings[:, 0]
    order = similarity.argsort(descending=True, stable=True)
    order = order[found.query[order].argsort(stable=True)]
    columns = (found.scene, found.boxes, found.scores, similarity)
    counts = found.query.bincount(minlength=queries).tolist()
    return [Ranking(*parts) for parts in zip(*(column[order].split(counts) for column in columns), strict=True)]
