"""Scenes and crops of scenes as JPEG data, with boxes that a page renders over them as vectors, sharp at any size."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
import simplejpeg

from spnet.data.decode import read_image
from spnet.data.schema import Annotations
from spnet.errors import UserError

JPEG_QUALITY = 85
SCENE_SIDE = 900  # pixels, longer side of a whole scene, at most
CROP_SIDE = 280
CONTEXT = 1.5  # height of a crop in heights of its box
ASPECT = 4 / 3  # height of a crop by its width


@dataclass(frozen=True)
class BoxOverlay:
    """A box over an image; `kind` is a class of the style sheet, `title` shows under the mouse."""

    box: npt.NDArray[np.floating]  # (4,) pixels xyxy of the scene
    kind: str
    title: str = ""


@dataclass(frozen=True)
class Region:
    """A part of a scene, whole pixels."""

    left: int
    top: int
    width: int
    height: int


@dataclass(frozen=True)
class SceneImage:
    """A region of a scene as a JPEG data URI, and the boxes over it."""

    name: str  # of the file, relative to the image root
    region: Region
    uri: str
    overlays: Sequence[BoxOverlay]


class SceneReader:
    """Reads scenes of a split by their id, as images of a page.

    Its methods raise UserError for an id the annotations do not have, and for an image that is missing or broken.
    """

    def __init__(self, annotations: Annotations) -> None:
        self._annotations = annotations
        self._rows = {scene: row for row, scene in enumerate(annotations.scene_ids.tolist())}

    def whole(self, scene: int, overlays: Sequence[BoxOverlay]) -> SceneImage:
        """Return a whole scene, at most SCENE_SIDE pixels wide and high."""
        _, (width, height) = self._record(scene)
        return self._read(scene, Region(0, 0, width, height), overlays, SCENE_SIDE)

    def crop(self, scene: int, overlay: BoxOverlay) -> SceneImage:
        """Return the surroundings of a box, at most CROP_SIDE pixels wide and high."""
        _, size = self._record(scene)
        return self._read(scene, region_around(overlay.box, size), [overlay], CROP_SIDE)

    def _read(self, scene: int, region: Region, overlays: Sequence[BoxOverlay], longest: int) -> SceneImage:
        name, size = self._record(scene)
        pixels, _ = read_image(self._annotations.image_root / name, size)
        part = pixels[region.top : region.top + region.height, region.left : region.left + region.width]
        return SceneImage(name, region, data_uri(encode_jpeg(part, longest)), overlays)

    def _record(self, scene: int) -> tuple[str, tuple[int, int]]:
        """File name, and width and height in pixels."""
        if scene not in self._rows:
            raise UserError(f"scene {scene} of the detections is not in the annotations: they are of another split")
        row = self._rows[scene]
        width, height = self._annotations.sizes[row].tolist()
        return self._annotations.file_names[row], (width, height)


def region_around(box: npt.NDArray[np.floating], size: tuple[int, int]) -> Region:
    """Return an upright region around a box (4,), pixels xyxy, inside a scene of this width and height."""
    left, top, right, bottom = box.tolist()
    height = max((bottom - top) * CONTEXT, (right - left) * CONTEXT * ASPECT, 8.0)
    width = min(round(height / ASPECT), size[0])
    height = min(round(height), size[1])
    x = round((left + right - width) / 2)
    y = round((top + bottom - height) / 2)
    return Region(min(max(x, 0), size[0] - width), min(max(y, 0), size[1] - height), width, height)


def encode_jpeg(pixels: npt.NDArray[np.uint8], longest: int) -> bytes:
    """Encode pixels (H, W, 3), reduced to `longest` pixels if need be; browsers enlarge by themselves."""
    height, width, _ = pixels.shape
    scale = longest / max(height, width)
    if scale < 1:
        reduced = (max(1, round(width * scale)), max(1, round(height * scale)))
        pixels = np.asarray(cv2.resize(pixels, reduced, interpolation=cv2.INTER_AREA), np.uint8)
    jpeg: bytes = simplejpeg.encode_jpeg(np.ascontiguousarray(pixels), quality=JPEG_QUALITY, colorspace="RGB")
    return jpeg


def data_uri(jpeg: bytes) -> str:
    """An address that is the image itself."""
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}"
