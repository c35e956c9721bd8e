"""Parts of scenes as images inside a page: JPEG data, with boxes drawn over it that stay sharp at any size."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import cv2
import numpy as np
import simplejpeg

from spnet.data.decode import read_image
from spnet.data.schema import Annotations
from spnet.errors import UserError

JPEG_QUALITY = 85
CONTEXT = 1.5  # height of a crop in heights of its box
TALLNESS = 4 / 3  # of a crop


@dataclass(frozen=True)
class Mark:
    """A box drawn over an image; `kind` is a class of the page's style, `title` shows under the mouse."""

    box: np.ndarray  # (4,) pixels xyxy of the scene
    kind: str
    title: str = ""


@dataclass(frozen=True)
class Region:
    """A part of a scene, whole pixels."""

    left: int
    top: int
    width: int
    height: int


class SceneImages:
    """The image files of a split, by scene id."""

    def __init__(self, annotations: Annotations) -> None:
        self._annotations = annotations
        self._rows = {scene: row for row, scene in enumerate(annotations.scene_ids.tolist())}

    def name(self, scene: int) -> str:
        """The scene's file. Raises UserError for an id the annotations do not have."""
        return self._annotations.file_names[self._row(scene)]

    def size(self, scene: int) -> tuple[int, int]:
        """Width and height in pixels. Raises UserError for an id the annotations do not have."""
        width, height = self._annotations.sizes[self._row(scene)].tolist()
        return width, height

    def draw(self, scene: int, region: Region | None, marks: Sequence[Mark], longest: int, label: str) -> str:
        """A region of a scene (None: all of it) as SVG, its longer side at most `longest` pixels, with marks over it.

        Raises UserError for an unknown scene, or an image that is missing or broken.
        """
        size = self.size(scene)
        pixels, _ = read_image(self._annotations.image_root / self.name(scene), size)
        region = region or Region(0, 0, *size)
        part = pixels[region.top : region.top + region.height, region.left : region.left + region.width]
        return _svg(region, _jpeg(part, longest), marks, label)

    def _row(self, scene: int) -> int:
        if scene not in self._rows:
            raise UserError(f"scene {scene} of the detections is not in the annotations: they are of another split")
        return self._rows[scene]


def region_around(box: np.ndarray, size: tuple[int, int]) -> Region:
    """An upright region around a box (4,), pixels xyxy, inside a scene of this width and height."""
    left, top, right, bottom = box.tolist()
    height = max((bottom - top) * CONTEXT, (right - left) * CONTEXT * TALLNESS, 8.0)
    width = min(round(height / TALLNESS), size[0])
    height = min(round(height), size[1])
    x = round((left + right - width) / 2)
    y = round((top + bottom - height) / 2)
    return Region(min(max(x, 0), size[0] - width), min(max(y, 0), size[1] - height), width, height)


def _jpeg(pixels: np.ndarray, longest: int) -> str:
    """Pixels (H, W, 3), made smaller if need be, as a data URI; a browser makes small ones larger by itself."""
    scale = longest / max(pixels.shape[:2])
    if scale < 1:
        height, width, _ = pixels.shape
        smaller = (max(1, round(width * scale)), max(1, round(height * scale)))
        pixels = cv2.resize(pixels, smaller, interpolation=cv2.INTER_AREA)
    data = simplejpeg.encode_jpeg(np.ascontiguousarray(pixels), quality=JPEG_QUALITY, colorspace="RGB")
    return f"data:image/jpeg;base64,{base64.b64encode(data).decode()}"


def _svg(region: Region, uri: str, marks: Sequence[Mark], label: str) -> str:
    place = f'x="{region.left}" y="{region.top}" width="{region.width}" height="{region.height}"'
    view = f"{region.left} {region.top} {region.width} {region.height}"
    shapes = "".join(map(_rectangle, marks))
    return f'<svg viewBox="{view}" role="img" aria-label="{escape(label)}"><image {place} href="{uri}"/>{shapes}</svg>'


def _rectangle(mark: Mark) -> str:
    left, top, right, bottom = mark.box.tolist()
    place = f'x="{left:.1f}" y="{top:.1f}" width="{right - left:.1f}" height="{bottom - top:.1f}"'
    return f'<rect class="{escape(mark.kind)}" {place}><title>{escape(mark.title)}</title></rect>'
