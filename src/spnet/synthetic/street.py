"""An empty street as one camera sees it: every pixel's ray is followed to the ground, the houses or the sky."""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from spnet.synthetic import textures
from spnet.synthetic.camera import Camera, ImageArray, sample_camera

_OVERSAMPLING = 2  # rays per pixel and axis
Floats = npt.NDArray[np.float32]
MISSED = np.float32(1e6)


@dataclass(frozen=True)
class Street:
    """A camera's place: the road reaches to ±`road` meters, the pavement to the house fronts at ±`wall`."""

    camera: Camera
    road: float
    wall: float
    backdrop: ImageArray  # (H, W, 3) uint8
    across: Floats  # (H, W) world x of what a pixel shows; -MISSED in the sky


def build_street(random: np.random.Generator, size: tuple[int, int], zoom: tuple[float, float]) -> Street:
    """A street and the camera in it, both sampled; `zoom` is the range of focal lengths in image widths."""
    road = random.uniform(2.6, 4.0)
    wall = road + random.uniform(2.6, 4.2)
    camera = sample_camera(random, size, wall, zoom)
    backdrop, across = _trace(random, camera, road, wall)
    return Street(camera, float(road), float(wall), backdrop, across)


def _trace(random: np.random.Generator, camera: Camera, road: float, wall: float) -> tuple[ImageArray, Floats]:
    rays = camera.rays(_OVERSAMPLING)
    x, y, z = (np.ascontiguousarray(rays[..., axis]) for axis in range(3))
    with np.errstate(divide="ignore", invalid="ignore"):
        to_ground = np.where(y < 0, -camera.height / y, MISSED)
        to_side = np.abs((np.sign(x) * np.float32(wall) - camera.x) / x)
        to_end = np.where(z > 0, textures.GROUND_FAR / z, MISSED)
    coarse = np.s_[::_OVERSAMPLING, ::_OVERSAMPLING]  # the sky is smooth
    sky = _sky(random, y[coarse] / np.hypot(x[coarse], z[coarse]))
    image = np.asarray(cv2.resize(sky, None, fx=_OVERSAMPLING, fy=_OVERSAMPLING), np.uint8)
    length = textures.GROUND_FAR - textures.GROUND_NEAR
    nearest = np.minimum(to_side, to_end)
    for side in (-1, 0, 1):
        front, cover = textures.paint_walls(random, length if side else 2 * wall)
        here = (to_end < to_side) if side == 0 else (np.sign(x) == side) & (to_side <= to_end)
        along = nearest * z - textures.GROUND_NEAR if side else nearest * x + camera.x + wall
        column = (length - along if side > 0 else along) * textures.WALL_SCALE
        row = (textures.WALL_TOP - camera.height - nearest * y) * textures.WALL_SCALE
        gloom = (0.82, 0.9, 1.0)[side + 1]
        shaded = np.asarray(cv2.convertScaleAbs(front, alpha=gloom), np.uint8)
        _lay(image, shaded, cover, column, row, here)
    ground = textures.paint_ground(random, road, wall)
    column = (to_ground * x + camera.x + wall) * textures.GROUND_SCALE
    row = (to_ground * z - textures.GROUND_NEAR) * textures.GROUND_SCALE
    _lay(image, ground, np.full(ground.shape[:2], 255, np.uint8), column, row, to_ground < nearest)
    _haze(image, np.minimum(nearest, to_ground) * camera.focal)
    across = np.minimum(nearest, to_ground) * x + camera.x
    across[(to_ground >= nearest) & (to_end < to_side)] = -MISSED
    small = cv2.resize(image, camera.size, interpolation=cv2.INTER_AREA)
    small_across = cv2.resize(across, camera.size, interpolation=cv2.INTER_NEAREST)
    return np.asarray(small, np.uint8), np.asarray(small_across, np.float32)


def _lay(
    image: ImageArray,
    surface: ImageArray,
    cover: npt.NDArray[np.uint8],
    column: Floats,
    row: Floats,
    here: npt.NDArray[np.bool_],
) -> None:
    """Looks the surface up where `here` is true."""
    shown = cv2.remap(surface, column, row, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    covered = cv2.remap(cover, column, row, cv2.INTER_NEAREST, borderMode=cv2.BORDER_CONSTANT)
    cv2.copyTo(shown, (covered > 0).astype(np.uint8) * here, image)


def _sky(random: np.random.Generator, rise: npt.NDArray[np.floating]) -> ImageArray:
    top, low = ((118, 164, 214), (206, 222, 234)) if random.random() < 0.6 else ((176, 184, 192), (214, 216, 218))
    share = np.clip(rise / 0.6, 0, 1)[..., None]
    sky = np.array(low, np.float32) * (1 - share) + np.array(top, np.float32) * share
    rows, columns = rise.shape
    coarse = random.normal(0, 1, (max(2, rows // 25), max(2, columns // 55))).astype(np.float32)
    clouds = cv2.GaussianBlur(cv2.resize(coarse, (columns, rows), interpolation=cv2.INTER_CUBIC), (0, 0), 3)
    cloudy: ImageArray = np.clip(sky + 26 * np.clip(clouds, 0, 1.5)[..., None], 0, 255).astype(np.uint8)
    return cloudy


def _haze(image: ImageArray, distance: Floats) -> None:
    """Far things fade into the color of the sky near the horizon."""
    share = np.where(distance < 1e4, 0.45 * (1 - np.exp(-distance / 70)), 0).astype(np.float32)
    sky = np.full_like(image, (206, 216, 224))
    image[:] = cv2.blendLinear(sky, image, share, 1 - share)
