"""Who is searched where: retrieval protocols, read once and resolved once to rows of the evaluation's arrays.

A file holds one protocol, or an object of named ones. A protocol is

    {"queries": [annotation ids], "images": [scene ids] or "all"}     one gallery for all queries
    {"queries": {"annotation id": [scene ids]}, "images": ...}        a gallery for each query

A query's own scene is never part of its gallery, whether listed or not.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from spnet.errors import UserError
from spnet.evaluation.arrays import EvaluationArrays
from spnet.files import read_json
from spnet.ragged import index_of, is_first


@dataclass(frozen=True)
class Protocol:
    """Q queries, all with the gallery `images` (None: every scene), unless each has its own in `galleries`."""

    queries: npt.NDArray[np.int64]  # (Q,) annotation ids, unique
    images: npt.NDArray[np.int64] | None = None  # scene ids; in published metrics one listed twice counts twice
    galleries: tuple[npt.NDArray[np.int64], ...] | None = None  # Q lists of scene ids

    def listed_scenes(self) -> npt.NDArray[np.int64]:
        """Ids (G,) of the scenes that it lists, each once; none where every scene is meant."""
        lists = self.galleries or ((self.images,) if self.images is not None else ())
        return np.unique(np.concatenate([np.empty(0, np.int64), *lists]))


@dataclass(frozen=True)
class Galleries:
    """A protocol as rows: Q queries, and L lists of distinct scenes, one after another; L is 1 (shared) or Q.

    Lists may hold the query's own scene; whoever uses them leaves it out.
    """

    query_box: npt.NDArray[np.int64]  # (Q,) row into the annotated boxes
    starts: npt.NDArray[np.int64]  # (L,) where each list begins
    counts: npt.NDArray[np.int64]  # (L,)
    scenes: npt.NDArray[np.int64]  # rows into the scenes, ascending within a list
    times_listed: npt.NDArray[np.int64]  # how often the protocol lists that scene
    keys: npt.NDArray[np.int64]  # list · S + scene, ascending: finds an entry
    own_scene: npt.NDArray[np.int64]  # (Q,) row of the scene the query was cut from
    number_of_scenes: int  # S

    @property
    def shared(self) -> bool:
        """Whether all queries search the same scenes."""
        return len(self.starts) == 1

    def find(self, query: npt.NDArray[np.int64], scene: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """The entry of `scenes` for each pair of a query and a scene row, −1 where its list lacks the scene."""
        wanted = scene if self.shared else query * self.number_of_scenes + scene
        if not len(self.keys):
            return np.full(len(wanted), -1)
        entry = np.searchsorted(self.keys, wanted).clip(max=len(self.keys) - 1)
        return np.where(self.keys[entry] == wanted, entry, -1)


def read_protocols(path: Path) -> dict[str, Protocol]:
    """All protocols of a file by name, a single one by the file's. Raises UserError naming protocol and record."""
    document = read_json(path, unique_keys=True)
    if not isinstance(document, dict) or not document:
        raise UserError(f"{path}: not a file of protocols: expected an object with 'queries' and 'images'")
    named = {path.stem: document} if "queries" in document else document
    protocols = {}
    for name, content in named.items():
        try:
            protocols[name] = parse_protocol(content)
        except UserError as error:
            raise UserError(f"{path}: protocol {name!r}: {error}") from None
    return protocols


def parse_protocol(content: object) -> Protocol:
    """A protocol from its JSON form. Raises UserError naming the record."""
    if not isinstance(content, Mapping) or "queries" not in content:
        raise UserError("expected an object with 'queries' and 'images'")
    queries, images = content["queries"], content.get("images", "all")
    if not queries:
        raise UserError("it has no queries")
    if isinstance(queries, Mapping):
        galleries = tuple(_identifiers(scenes, f"the gallery of query {query}") for query, scenes in queries.items())
        return Protocol(_unique(_identifiers([_key(query) for query in queries], "queries")), None, galleries)
    gallery = None if images == "all" else _identifiers(images, "images")
    return Protocol(_unique(_identifiers(queries, "queries")), gallery)


def resolve_protocol(protocol: Protocol, arrays: EvaluationArrays) -> Galleries:
    """The protocol as rows of `arrays`. Raises UserError for a query or a scene that `arrays` does not have."""
    query_box = index_of(arrays.gt_annotation, protocol.queries)
    if (query_box < 0).any():
        raise UserError(f"query {protocol.queries[query_box < 0][0]} is the id of no annotation (gt_annotation)")
    scenes = len(arrays.image_ids)
    lists = protocol.galleries
    if lists is None:
        lists = (arrays.image_ids if protocol.images is None else protocol.images,)
    ids = np.concatenate([np.empty(0, np.int64), *lists])
    listed_in = np.repeat(np.arange(len(lists)), [len(scenes) for scenes in lists])
    rows = index_of(arrays.image_ids, ids)
    if (rows < 0).any():
        wrong = (rows < 0).argmax()
        owner = "images" if protocol.galleries is None else f"the gallery of query {protocol.queries[listed_in[wrong]]}"
        raise UserError(f"{owner} names scene {ids[wrong]}, which is not in image_ids")
    keys, times_listed = np.unique(listed_in * scenes + rows, return_counts=True)
    counts = np.bincount(keys // scenes, minlength=len(lists))
    own_scene = index_of(arrays.image_ids, arrays.gt_image[query_box])
    starts = np.cumsum(counts) - counts
    return Galleries(query_box, starts, counts, keys % scenes, times_listed, keys, own_scene, scenes)


def limit_galleries(protocol: Protocol, arrays: EvaluationArrays, size: int) -> Protocol:
    """The protocol with at most `size` scenes in each query's gallery, its own scene not counted.

    Scenes with the person all stay (also where they are more than `size`); of the others, the first of the list.
    """
    galleries = resolve_protocol(protocol, arrays)
    everything = arrays.image_ids if protocol.images is None else protocol.images
    lists = protocol.galleries or (everything,) * len(protocol.queries)
    own_scene, person = arrays.gt_image[galleries.query_box], arrays.gt_person[galleries.query_box]
    limited = []
    for scenes, own, who in zip(lists, own_scene, person, strict=True):
        scenes = scenes[scenes != own]
        with_person = np.isin(scenes, arrays.gt_image[arrays.gt_person == who])
        room = max(0, size - len(np.unique(scenes[with_person])))
        chosen = scenes[is_first(scenes) & ~with_person][:room]
        limited.append(scenes[with_person | np.isin(scenes, chosen)])
    return Protocol(protocol.queries, None, tuple(limited))


def _key(text: str) -> int | str:
    return int(text) if text.isascii() and text.isdigit() else text


def _identifiers(values: object, owner: str) -> npt.NDArray[np.int64]:
    if not isinstance(values, list):
        raise UserError(f"{owner}: expected a list of ids, got {str(values)[:40]!r}")
    for value in values:
        if type(value) is not int or abs(value) >= 2**63:
            raise UserError(f"{owner}: {str(value)[:40]!r} is not an id (an integer)")
    return np.array(values, np.int64)


def _unique(queries: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    if not is_first(queries).all():
        raise UserError(f"query {queries[~is_first(queries)][0]} comes twice")
    return queries
