"""The network as a tool for one's own pictures: detect, embed, find."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, islice
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import normalize

from spnet.config import ModelConfig, PathName
from spnet.data.batches import collate, padded_size
from spnet.errors import UserError
from spnet.model.inference import find_everyone, find_queries
from spnet.model.network import SPNet
from spnet.model.trunk import Pyramid
from spnet.model.weights import load_network, save_weights
from spnet.search.pictures import Picture, make_picture_view, read_pixels
from spnet.structures import Detections, SceneBatch

Embedder = Callable[[Pyramid, Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Found:
    """The people found in one picture, best first; boxes are pixels xyxy of that picture."""

    boxes: Tensor  # (n, 4)
    scores: Tensor  # (n,) in 0..1
    embeddings: Tensor  # (n, E) re-id, not normalised


@dataclass(frozen=True)
class Ranking:
    """The people of all pictures, most similar to one query first."""

    picture: Tensor  # (n,) int64, index into the pictures
    boxes: Tensor  # (n, 4) pixels xyxy of that picture
    scores: Tensor  # (n,) detection scores
    similarity: Tensor  # (n,) cosine to the query, -1..1


class Searcher:
    """A network with what it needs to look at pictures of any size.

    Args:
        network: a network, or the configuration of a new one.
        device: where it runs.
        batch_size: pictures at once, if they follow one another and are padded to the same size.

    Example:
        >>> searcher = Searcher.load("runs/prw")
        >>> people = searcher.detect(["street.jpg"])[0]
        >>> ranking = searcher.find(gallery, queries=[("street.jpg", people.boxes[0])])[0]
    """

    def __init__(self, network: SPNet | ModelConfig, device: torch.device | str = "cpu", batch_size: int = 4) -> None:
        self.network = (SPNet(network) if isinstance(network, ModelConfig) else network).to(device).eval()
        self.device = torch.device(device)
        self.batch_size = batch_size

    @classmethod
    def load(cls, source: str | Path, device: torch.device | str = "cpu", batch_size: int = 4) -> "Searcher":
        """From a weights file or a finished run's folder. Raises UserError if there is none or it does not fit."""
        return cls(load_network(Path(source)), device, batch_size)

    def save(self, file: str | Path) -> None:
        """Write weights and configuration as safetensors."""
        save_weights(Path(file), self.network, "object")

    @torch.no_grad()
    def detect(self, pictures: Sequence[Picture]) -> list[Found]:
        """Everyone in each picture (object-centric). Raises UserError for a file that is no picture."""
        found: list[Found] = []
        for batch, pyramid in self._batches(pictures):
            table = _to_file_pixels(find_everyone(self.network, pyramid), batch)
            found += [_rows(table, table.scene == scene) for scene in range(len(batch.images))]
        return found

    @torch.no_grad()
    def embed(self, pictures: Sequence[Picture], boxes: Sequence[Tensor]) -> list[Tensor]:
        """Re-id embeddings (n, E) of the boxes (n, 4) of each picture, pixels xyxy. Raises UserError."""
        return self._embed(pictures, boxes, self.network.embed)

    @torch.no_grad()
    def find(
        self,
        pictures: Sequence[Picture],
        queries: Sequence[tuple[Picture, Tensor | Sequence[float]]],
        path: PathName = "object",
    ) -> list[Ranking]:
        """Rank the people of all pictures by likeness to each query, a picture and one box (4,) in it.

        Args:
            pictures: the gallery.
            queries: whom to find.
            path: `object` detects everyone once and ranks; `query` looks for each query in every picture.

        Raises:
            UserError: a file that is no picture, or an unknown path.
        """
        if path not in ("object", "query"):
            raise UserError(f"path {path!r} is unknown; choose 'object' or 'query'")
        images = [picture for picture, _ in queries]
        boxes = [torch.as_tensor(box, dtype=torch.float32).reshape(1, 4) for _, box in queries]
        if not queries:
            return []
        directions = normalize(torch.cat(self.embed(images, boxes)))
        if path == "object":
            everyone = self._tables(pictures, lambda pyramid: find_everyone(self.network, pyramid))
            found = _rows(everyone, torch.arange(len(everyone.boxes)))
            return [_rank(found, everyone.scene, direction) for direction in directions]
        located = torch.cat(self._embed(images, boxes, lambda *places: self.network.locate(1, *places)))
        table = self._tables(pictures, lambda pyramid: find_queries(self.network, pyramid, located.to(self.device)))
        mine = [table.query == number for number in range(len(queries))]
        return [_rank(_rows(table, rows), table.scene[rows], directions[number]) for number, rows in enumerate(mine)]

    def _tables(self, pictures: Sequence[Picture], find: Callable[[Pyramid], Detections]) -> Detections:
        """Detections of all pictures as one table; `scene` is the index of the picture."""
        tables, seen = [], 0
        for batch, pyramid in self._batches(pictures):
            table = _to_file_pixels(find(pyramid), batch)
            tables.append(replace(table, scene=table.scene + seen))
            seen += len(batch.images)
        if not tables:
            raise UserError("no pictures are given")
        return Detections(**{name: torch.cat([getattr(table, name) for table in tables]) for name in vars(tables[0])})

    def _embed(self, pictures: Sequence[Picture], boxes: Sequence[Tensor], head: Embedder) -> list[Tensor]:
        if len(boxes) != len(pictures):
            raise UserError(f"{len(pictures)} pictures but boxes for {len(boxes)}")
        embedded: list[Tensor] = []
        for batch, pyramid in self._batches(pictures):
            given = boxes[len(embedded) : len(embedded) + len(batch.images)]
            mine = [torch.as_tensor(part, dtype=torch.float32).reshape(-1, 4) for part in given]
            counts = [len(part) for part in mine]
            scene = torch.arange(len(mine)).repeat_interleave(torch.tensor(counts)).to(self.device)
            placed = torch.cat(mine).to(self.device) * batch.scales[scene].repeat(1, 2)
            embedded += head(pyramid, placed, scene).cpu().split(counts)
        return embedded

    def _batches(self, pictures: Sequence[Picture]) -> Iterator[tuple[SceneBatch, Pyramid]]:
        """Pictures in their order; those of a batch have one padded size, so that they do not touch one another."""
        window = self.network.config.inference.window
        views = (make_picture_view(read_pixels(picture), window) for picture in pictures)
        for _, alike in groupby(views, lambda view: padded_size(view.image.shape)):
            while part := list(islice(alike, self.batch_size)):
                batch = collate([part]).to(self.device)
                yield batch, self.network.features(batch.images, batch.sizes)


def _to_file_pixels(table: Detections, batch: SceneBatch) -> Detections:
    return replace(table, boxes=table.boxes / batch.scales[table.scene].repeat(1, 2)).to("cpu")


def _rows(table: Detections, rows: Tensor) -> Found:
    return Found(table.boxes[rows], table.scores[rows], table.embeddings[rows])


def _rank(found: Found, picture: Tensor, direction: Tensor) -> Ranking:
    """Most similar first."""
    similarity = normalize(found.embeddings) @ direction
    order = similarity.argsort(descending=True, stable=True)
    return Ranking(picture[order], found.boxes[order], found.scores[order], similarity[order])
