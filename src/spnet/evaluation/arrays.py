"""The detections file: everything an evaluation needs of a model, as plain arrays, so that any model can be scored."""

import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from spnet.errors import UserError
from spnet.files import atomic_write
from spnet.ragged import index_of, is_first


@dataclass(frozen=True)
class EvaluationArrays:
    """S scenes, G annotated boxes and N detections with E-dimensional embeddings; boxes are pixels xyxy.

    The rows of a table may stand in any order. Made or read, the arrays are checked: see `check_arrays`.
    """

    image_ids: npt.NDArray[np.int64]  #: (S,) unique
    gt_image: npt.NDArray[np.int64]  #: (G,) id of the scene
    gt_box: npt.NDArray[np.floating]  #: (G, 4)
    gt_person: npt.NDArray[np.int64]  #: (G,) the same number for the same person; unknown persons have their own
    gt_annotation: npt.NDArray[np.int64]  #: (G,) unique; protocols name queries by it
    gt_iou_thresh: npt.NDArray[np.floating]  #: (G,) overlap from which a detection can be this person
    gt_emb: npt.NDArray[np.floating]  #: (G, E) of the annotated boxes; need not be normalized
    det_image: npt.NDArray[np.int64]  #: (N,) id of the scene
    det_box: npt.NDArray[np.floating]  #: (N, 4)
    det_score: npt.NDArray[np.floating]  #: (N,)
    det_emb: npt.NDArray[np.floating]  #: (N, E)

    def __post_init__(self) -> None:
        check_arrays(self)


_INTEGERS = ("image_ids", "gt_image", "gt_person", "gt_annotation", "det_image")


def read_arrays(path: Path) -> EvaluationArrays:
    """Read a detections file (.npz). Raises UserError naming the file and the array or record that is wrong."""
    names = [field.name for field in fields(EvaluationArrays)]
    with open_arrays(path) as content:
        if missing := [name for name in names if name not in content]:
            raise UserError(f"it has no array {missing[0]!r}; a detections file holds {', '.join(names)}")
        return EvaluationArrays(**{name: content[name] for name in names})


@contextmanager
def open_arrays(path: Path) -> Iterator[Mapping[str, npt.NDArray[Any]]]:
    """The arrays of an .npz file by name. Raises UserError, naming the file for one of the block too."""
    try:
        content = np.load(path, allow_pickle=False)
        if isinstance(content, np.ndarray):
            raise ValueError("it holds a single array")
        with content:
            yield content
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror or error}") from None
    except (ValueError, EOFError, NotImplementedError, zipfile.BadZipFile, zlib.error) as error:
        raise UserError(f"{path}: not a detections file (.npz): {str(error).splitlines()[0]}") from None


def write_arrays(path: Path, arrays: EvaluationArrays) -> None:
    """Write a detections file; it appears complete or not at all. Raises UserError where it cannot be written."""
    with atomic_write(path) as stream:
        np.savez(stream, **{field.name: getattr(arrays, field.name) for field in fields(arrays)})


def ground_truth_detections(arrays: EvaluationArrays) -> EvaluationArrays:
    """The same scenes with the annotated boxes as detections of score 1: a perfect detector (GT mAP)."""
    return replace(
        arrays,
        det_image=arrays.gt_image,
        det_box=arrays.gt_box,
        det_score=np.ones(len(arrays.gt_image), np.float32),
        det_emb=arrays.gt_emb,
    )


def confident_detections(arrays: EvaluationArrays, score_threshold: float) -> EvaluationArrays:
    """The same scenes with only the detections of at least this score."""
    keep = arrays.det_score >= score_threshold
    if keep.all():
        return arrays
    return replace(arrays, **{name: getattr(arrays, name)[keep] for name in _TABLES["det_image"]})


_TABLES = {
    "gt_image": ("gt_image", "gt_box", "gt_person", "gt_annotation", "gt_iou_thresh", "gt_emb"),
    "det_image": ("det_image", "det_box", "det_score", "det_emb"),
}


def check_arrays(arrays: EvaluationArrays) -> None:
    """Raise UserError, naming the array and the record, unless lengths agree, ids are unique and known, boxes have an
    area, and scores and embeddings are finite."""
    _check_shapes(arrays)
    for name in ("image_ids", "gt_annotation"):
        _refuse(arrays, name, ~is_first(getattr(arrays, name)), "this id comes twice")
    for owner, names in _TABLES.items():
        images = getattr(arrays, owner)
        unknown = index_of(arrays.image_ids, images) < 0
        _refuse(arrays, owner, unknown, "this scene is not in image_ids")
        for name in names:
            values = getattr(arrays, name)
            if values.dtype.kind == "f":
                finite = np.isfinite(values).all(axis=tuple(range(1, values.ndim)))
                _refuse(arrays, name, ~finite, "not finite")
    for name in ("gt_box", "det_box"):
        left, top, right, bottom = getattr(arrays, name).T
        _refuse(arrays, name, (right <= left) | (bottom <= top), "not a box x1, y1, x2, y2 with x2 > x1 and y2 > y1")
    threshold = arrays.gt_iou_thresh
    _refuse(arrays, "gt_iou_thresh", (threshold <= 0) | (threshold > 1), "not in (0, 1]")


def _check_shapes(arrays: EvaluationArrays) -> None:
    for field in fields(arrays):
        kinds, wanted = ("iu", "integers") if field.name in _INTEGERS else ("f", "floating-point numbers")
        values = getattr(arrays, field.name)
        if values.dtype.kind not in kinds:
            raise UserError(f"{field.name} holds {values.dtype}, not {wanted}")
        if field.name in _INTEGERS and values.ndim != 1:
            raise UserError(f"{field.name} has shape {values.shape}, expected one dimension")
    dims = arrays.gt_emb.shape[-1] if arrays.gt_emb.ndim == 2 else 0
    lengths = {name: len(getattr(arrays, owner)) for owner, names in _TABLES.items() for name in names}
    widths = {"gt_box": (4,), "det_box": (4,), "gt_emb": (dims,), "det_emb": (dims,)}
    for name, length in lengths.items():
        expected = (length, *widths.get(name, ()))
        if getattr(arrays, name).shape != expected:
            raise UserError(f"{name} has shape {getattr(arrays, name).shape}, expected {expected}")
    if not dims:
        raise UserError(f"gt_emb has shape {arrays.gt_emb.shape}: embeddings need at least one dimension")


def _refuse(arrays: EvaluationArrays, name: str, bad: npt.NDArray[np.bool_], message: str) -> None:
    """Raise UserError for the first row of array `name` where `bad` (rows,) is set."""
    if not bad.any():
        return
    row = int(bad.argmax())
    owner = next((owner for owner, names in _TABLES.items() if name in names), None)
    scene = f" (scene {getattr(arrays, owner)[row]})" if owner and owner != name else ""
    value = getattr(arrays, name)[row]
    text = np.array2string(value, threshold=8, separator=", ").replace("\n", "") if value.ndim else str(value)
    raise UserError(f"{name}[{row}]{scene} is {text}: {message}")
