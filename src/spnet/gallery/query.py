"""Queries as people give them: an image, a frame of a video, a box in it, or an embedding."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from torch import Tensor
from typing_extensions import TypeIs

from spnet.data.sources import kind_of
from spnet.data.video import read_frame
from spnet.errors import UserError
from spnet.gallery.times import parse_place
from spnet.gallery.tracklets import Array, normalized
from spnet.inference.images import ImageLike, read_pixels
from spnet.inference.searcher import ImageDetections

RIGHT_WEIGHT, WRONG_WEIGHT = 0.75, 0.25  # Rocchio's β and γ (Manning et al., Introduction to IR, 2008, 9.1)
Box = Sequence[float] | Tensor | npt.NDArray[np.floating]  # (4,) pixels xyxy
QueryLike = ImageLike | tuple[ImageLike, Box] | Array


def locate(image: ImageLike) -> ImageLike:
    """The image itself, or the frame that `VIDEO@TIME` names. Raises UserError."""
    if isinstance(image, (str, Path)) and not Path(image).is_file():
        name, at, time = str(image).rpartition("@")
        if at and kind_of(Path(name)) == "video":
            place = parse_place(time)
            if place is None:
                raise UserError(f"{image}: {time!r} is no time; write 1:02:03 or 75.5")
            return read_frame(Path(name), place).pixels
    if isinstance(image, (str, Path)) and kind_of(Path(image)) == "video":
        raise UserError(f"{image}: which frame of the video? write {image}@1:02:03 or {image}@75.5")
    return image


def is_direction(query: QueryLike) -> TypeIs[Array]:
    """Whether a query is an embedding."""
    return isinstance(query, np.ndarray) and query.ndim == 1


def one_person(
    query: ImageLike | tuple[ImageLike, Box], people: Callable[[ImageLike], ImageDetections]
) -> tuple[npt.NDArray[np.uint8], list[float]]:
    """Pixels (H, W, 3) and the box of a query's person.

    Raises UserError for a box outside the image, and without one where there is nobody, or more than one.
    """
    image, box = query if isinstance(query, tuple) else (query, None)
    pixels = read_pixels(locate(image))
    if box is None:
        boxes = people(pixels).boxes
        if len(boxes) != 1:
            seen = "there is nobody" if not len(boxes) else f"there are {len(boxes)} people"
            raise UserError(f"query: {seen} in the image; say where the person is by a box")
        box = boxes[0]
    return pixels, clip_box(pixels.shape, box)


def clip_box(shape: tuple[int, ...], box: Box) -> list[float]:
    """A box inside an image of this shape (H, W, ...). Raises UserError for one that is empty or outside."""
    values = np.asarray(box, np.float64).reshape(-1)
    if values.shape != (4,) or not np.isfinite(values).all() or (values[2:] <= values[:2]).any():
        raise UserError(f"box {_text(values)}: must be left, top, right, bottom, in pixels")
    limits = [shape[1], shape[0]]
    inside = values.clip(0, limits * 2)
    if (inside[2:] - inside[:2] < 1).any():
        raise UserError(f"box {_text(values)}: lies outside the image of {limits[0]} x {limits[1]} pixels")
    return [float(value) for value in inside]


def fuse(embeddings: Sequence[Array]) -> Array:
    """The mean direction (E,) of normalized embeddings. Raises UserError where there is none."""
    if not embeddings:
        raise UserError("no query is given")
    return normalized(np.mean(embeddings, axis=0))


def rocchio(query: Array, right: Array, wrong: Array) -> Array:
    """The query (E,) after marks: embeddings (n, E) and (m, E) of right and wrong hits."""
    moved = query.astype(np.float64)
    if len(right):
        moved = moved + RIGHT_WEIGHT * right.mean(0)
    if len(wrong):
        moved = moved - WRONG_WEIGHT * wrong.mean(0)
    return normalized(moved.astype(np.float32))


def _text(values: npt.NDArray[np.float64]) -> str:
    return " ".join(f"{value:g}" for value in values)
