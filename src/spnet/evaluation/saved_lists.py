"""Detections as the SeqNet family saves them, a list with an entry an image, made into the evaluator's arrays.

What is read is documented, name by name, in docs/evaluation.md, "Detections of other code bases". Nothing in such a
file says which image an entry belongs to, unless it has names: entries are taken in the order of the split.
"""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import numpy.typing as npt

from spnet.data.schema import Annotations
from spnet.errors import UserError
from spnet.evaluation.arrays import EvaluationArrays
from spnet.evaluation.detection import evaluate_detection
from spnet.evaluation.extract import annotation_columns
from spnet.evaluation.gallery_filter import GalleryFilter
from spnet.evaluation.protocols import Protocol
from spnet.evaluation.saved_objects import as_array, as_list, read_saved
from spnet.ragged import index_of

Array = npt.NDArray[Any]
KEYS = (
    "gallery_dets",  # (n, 5) an image: x1, y1, x2, y2, score; or (n, 4) beside gallery_scores
    "gallery_feats",  # (n, E) an image
    "query_box_feats",  # (E,) or (1, E) a query
    "gallery_scores",  # optional: (n,) an image
    "gallery_names",  # optional: the file name an image
    "query_ids",  # optional: the annotation id a query
    "gallery_filter",  # optional: (S,) a query, the gallery filter's score of each image
)
REQUIRED = KEYS[:3]
FEW = 0.05  # recall below which the order of the images is doubted

logger = logging.getLogger(__name__)


def read_detections(
    path: Path,
    annotations: Annotations,
    queries: npt.NDArray[np.int64],
    keys: Mapping[str, str],
    image_names: list[str] | None = None,
) -> tuple[EvaluationArrays, GalleryFilter | None]:
    """Read saved lists: what they say of a split, and a gallery filter's scores if there are any.

    Only queries have an embedding, so GT mAP cannot be measured.

    Args:
        path: a pickle, a file of torch.save, or JSON.
        annotations: the split; entries of the gallery are in its order unless the file has names.
        queries: annotation ids (Q,); entries of queries are in their order unless the file has ids.
        keys: what the file calls the `KEYS`, where it does not call them so; a number is a place in a list.
        image_names: the file name an image, instead of names in the file.

    Raises:
        UserError: a damaged file, a missing key, other numbers of images or queries, an entry of a wrong shape.
    """
    content = read_saved(path)
    try:
        lists = {key: found for key in KEYS if (found := _find(content, key, keys)) is not None}
        if image_names is not None:
            lists["gallery_names"] = list(image_names)
        detections = _detections(lists, annotations)
        queries = _query_ids(lists, queries)
        embeddings = _query_embeddings(lists["query_box_feats"], len(queries))
        gt_emb = np.zeros((len(annotations.boxes), embeddings.shape[1]), np.float32)
        row = index_of(annotations.box_ids, queries)
        if (row < 0).any():
            raise UserError(f"query {queries[row < 0][0]} is the id of no annotation of the split")
        gt_emb[row] = embeddings
        arrays = EvaluationArrays(**annotation_columns(annotations), gt_emb=gt_emb, **detections)
        scores = _gallery_filter(lists, queries, annotations)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    _doubt_order(path, arrays, "gallery_names" in lists)
    return arrays, scores


def same_queries(protocols: Mapping[str, Protocol]) -> npt.NDArray[np.int64]:
    """The queries (Q,) of all protocols, whose order the entries of the file have. Raises UserError if they differ."""
    (first, queries), *others = ((name, protocol.queries) for name, protocol in protocols.items())
    for name, other in others:
        if not np.array_equal(queries, other):
            raise UserError(f"protocols {first!r} and {name!r} have other queries: choose one by --protocol")
    return queries


def parse_keys(texts: Sequence[str]) -> dict[str, str]:
    """The names of a file by ours, from texts OURS=THEIRS. Raises UserError."""
    keys = {}
    for text in texts:
        ours, _, theirs = text.partition("=")
        if ours not in KEYS or not theirs:
            raise UserError(f"--keys {text}: must be NAME=ITS_NAME_IN_THE_FILE, with a name of {', '.join(KEYS)}")
        keys[ours] = theirs
    return keys


def _find(content: object, key: str, keys: Mapping[str, str]) -> list[object] | None:
    """One of the lists, None for an optional one that is not there. Raises UserError."""
    name = keys.get(key, key)
    if isinstance(content, Mapping):
        found, there = content.get(name), ", ".join(map(str, list(content)[:20]))
    else:
        members = as_list(content)
        if members is None:
            raise UserError(f"it holds {type(content).__name__}, not a table or a list")
        found = members[int(name)] if name.isdecimal() and int(name) < len(members) else None
        there = f"a list of {len(members)}"
    if found is None:
        if key in REQUIRED or key in keys:
            raise UserError(f"it has no {name!r} for {key}; it has {there}; say what it is called by --keys")
        return None
    entries = as_list(found)
    if entries is None:
        raise UserError(f"{name} is {type(found).__name__}, not a list with an entry an image or a query")
    return entries


def _detections(lists: Mapping[str, list[object]], annotations: Annotations) -> dict[str, Array]:
    """The columns of the detections."""
    scenes = _scenes(lists, annotations)
    boxes = _entries("gallery_dets", lists, len(scenes), 2)
    embeddings = _entries("gallery_feats", lists, len(scenes), 2)
    scores = _entries("gallery_scores", lists, len(scenes), 1) if "gallery_scores" in lists else None
    width = 4 if scores else 5
    for name, parts in {"gallery_dets": boxes, "gallery_feats": embeddings, "gallery_scores": scores or []}.items():
        for place, (part, box) in enumerate(zip(parts, boxes, strict=False)):
            if len(part) != len(box):
                raise UserError(f"{name}[{place}] has {len(part)} rows, gallery_dets[{place}] {len(box)}")
    box = _joined("gallery_dets", boxes, width)
    return {
        "det_image": np.repeat(annotations.scene_ids[scenes], [len(part) for part in boxes]),
        "det_box": box[:, :4],
        "det_score": box[:, 4] if scores is None else np.concatenate([np.empty(0, np.float32), *scores]),
        "det_emb": _joined("gallery_feats", embeddings, None),
    }


def _scenes(lists: Mapping[str, list[object]], annotations: Annotations) -> npt.NDArray[np.int64]:
    """The row of the scene that each entry belongs to."""
    number = len(lists["gallery_dets"])
    if "gallery_names" not in lists:
        if number != len(annotations.scene_ids):
            raise UserError(
                f"gallery_dets has {number} entries, the split {len(annotations.scene_ids)} images: "
                "either all in the order of the split, or gallery_names beside them"
            )
        return np.arange(number)
    names = [PurePosixPath(str(name)).name for name in lists["gallery_names"]]
    rows = {PurePosixPath(name).name: row for row, name in enumerate(annotations.file_names)}
    if unknown := [name for name in names if name not in rows]:
        raise UserError(f"gallery_names has {unknown[0]!r}, which is no image of the split")
    if len(set(names)) < len(names) or len(names) != number:
        raise UserError(f"gallery_names has {len(set(names))} different names for {number} entries of gallery_dets")
    return np.array([rows[name] for name in names], np.int64)


def _entries(name: str, lists: Mapping[str, list[object]], number: int, dims: int) -> list[Array]:
    """The entries of a list as float32 arrays of `dims` dimensions; an empty one may have lost its shape."""
    if len(lists[name]) != number:
        raise UserError(f"{name} has {len(lists[name])} entries, gallery_dets {number}")
    parts = []
    for place, entry in enumerate(lists[name]):
        try:
            part = as_array(entry).astype(np.float32)
        except UserError as error:
            raise UserError(f"{name}[{place}]: {error}") from None
        if part.size and part.ndim != dims:
            raise UserError(f"{name}[{place}] has shape {part.shape}, expected {dims} dimension(s)")
        parts.append(part)
    return parts


def _joined(name: str, parts: Sequence[Array], width: int | None) -> Array:
    """The rows (N, width) of all entries; without `width`, as wide as the first. Raises UserError naming the entry."""
    filled = [(place, part) for place, part in enumerate(parts) if part.size]
    wanted = width or (filled[0][1].shape[1] if filled else 1)
    for place, part in filled:
        if part.shape[1] != wanted:
            raise UserError(f"{name}[{place}] has {part.shape[1]} columns, expected {wanted}")
    return np.concatenate([np.empty((0, wanted), np.float32), *(part for _, part in filled)])


def _query_ids(lists: Mapping[str, list[object]], queries: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    if "query_ids" not in lists:
        return queries
    ids = as_array(lists["query_ids"])
    if ids.dtype.kind not in "iu" or len(np.unique(ids)) < len(ids):
        raise UserError("query_ids must hold annotation ids, each once")
    return ids.astype(np.int64)


def _query_embeddings(entries: list[object], number: int) -> Array:
    if len(entries) != number:
        raise UserError(f"query_box_feats has {len(entries)} entries, but there are {number} queries")
    rows = [as_array(entry).astype(np.float32) for entry in entries]
    for place, row in enumerate(rows):
        if row.size != rows[0].size or row.shape not in ((row.size,), (1, row.size)):
            raise UserError(f"query_box_feats[{place}] has shape {row.shape}, expected one embedding a query")
    return np.stack([row.reshape(-1) for row in rows])


def _gallery_filter(
    lists: Mapping[str, list[object]], queries: npt.NDArray[np.int64], annotations: Annotations
) -> GalleryFilter | None:
    """The filter's scores, in the order of the split."""
    if "gallery_filter" not in lists:
        return None
    scores = _joined("gallery_filter", [as_array(row).reshape(1, -1) for row in lists["gallery_filter"]], None)
    scenes = _scenes(lists, annotations)
    if scores.shape != (len(queries), len(scenes)):
        raise UserError(f"gallery_filter has shape {scores.shape}, expected {(len(queries), len(scenes))}")
    ordered = np.zeros((len(queries), len(annotations.scene_ids)), np.float32)
    ordered[:, scenes] = scores
    return GalleryFilter(queries, ordered)


def _doubt_order(path: Path, arrays: EvaluationArrays, has_names: bool) -> None:
    """Warn where hardly anybody is detected: the entries may be in another order than the split."""
    recall = evaluate_detection(arrays).recall
    if not has_names and recall < FEW:
        logger.warning(
            "%s: only %.1f%% of the annotated people are detected: are its entries in the order of the split's images?",
            path,
            100 * recall,
        )
