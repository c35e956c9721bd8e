"""Cameras of the synthetic streets: geometry (pinhole) and color (gains, contrast, blur, noise).

World axes in meters: x to the right across the street, y up, z along the street; the ground is y = 0.
"""

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
import numpy.typing as npt

# OpenCV does not say what dtype it returns: hence `np.asarray` on what it returns, which copies nothing
ImageArray = npt.NDArray[np.uint8]  # (H, W, 3) RGB
Spot = tuple[float, float]  # x, z on the ground in meters


@dataclass(frozen=True)
class Camera:
    """A pinhole camera; angles in radians, pitch downwards."""

    x: float
    height: float
    yaw: float
    pitch: float
    focal: float  # pixels
    size: tuple[int, int]  # width, height in pixels
    gains: tuple[float, ...]  # of red, green and blue
    contrast: float
    blur: float  # pixels, sigma
    noise: float  # gray levels

    @cached_property
    def axes(self) -> npt.NDArray[np.float64]:
        """Right, down and forward of the camera as rows of a (3, 3) matrix in world axes."""
        sine, cosine, dip, level = np.sin(self.yaw), np.cos(self.yaw), np.sin(self.pitch), np.cos(self.pitch)
        right, forward = np.array([cosine, 0, -sine]), np.array([sine * level, -dip, cosine * level])
        return np.stack([right, np.cross(right, forward), forward])

    def project(self, points: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """World points (..., 3) to pixel x, pixel y and depth in meters (..., 3)."""
        seen = (points - np.array([self.x, self.height, 0.0])) @ self.axes.T
        depth = np.maximum(seen[..., 2:], 0.05)
        return np.concatenate([seen[..., :2] / depth * self.focal + np.array(self.size) / 2, seen[..., 2:]], -1)

    def project_ground(self, spot: Spot) -> tuple[float, float, float]:
        """Pixel x, pixel y and depth in meters of a place on the ground."""
        x, y, depth = self.project(np.array([spot[0], 0.0, spot[1]])).tolist()
        return x, y, depth

    def rays(self, factor: int) -> npt.NDArray[np.float32]:
        """World directions (H · factor, W · factor, 3) through the pixels of an image `factor` times as fine."""
        width, height = self.size
        across = (np.arange(width * factor, dtype=np.float32) + 0.5) / factor - width / 2
        down = (np.arange(height * factor, dtype=np.float32) + 0.5) / factor - height / 2
        axes = self.axes.astype(np.float32)
        rows, columns = down[:, None, None] * axes[1], across[None, :, None] * axes[0]
        directions: npt.NDArray[np.float32] = rows + columns + self.focal * axes[2]
        return directions


def sample_camera(
    random: np.random.Generator, size: tuple[int, int], street_half: float, zoom: tuple[float, float]
) -> Camera:
    """A camera at 2 to 3.6 m above the pavement or the road, looking along or across the street.

    Its focal length, in image widths, lies between the two numbers of `zoom`.
    """
    height = random.uniform(2.0, 3.6)
    side = random.choice([-1.0, 1.0])
    x = side * random.uniform(0.2, 0.75) * street_half
    yaw = -side * random.uniform(0.0, 0.75)
    return Camera(
        x=float(x),
        height=float(height),
        yaw=float(yaw),
        pitch=float(0.06 + 0.065 * height + random.uniform(-0.03, 0.03)),
        focal=float(size[0] * random.uniform(*zoom)),
        size=size,
        gains=tuple(random.normal(1.0, 0.035, 3).tolist()),
        contrast=float(random.uniform(0.86, 1.12)),
        blur=float(random.choice([0.0, 0.0, 0.5, 0.8])),
        noise=float(random.uniform(1.0, 5.0)),
    )


def camera_response(
    camera: Camera, scene: ImageArray, warmth: float, brightness: float, random: np.random.Generator
) -> ImageArray:
    """The image (H, W, 3) as this camera records it: color cast, contrast, lens blur, sensor noise."""
    gains = np.array(camera.gains) * (1 + warmth * np.array([1.0, 0.1, -1.0])) * brightness
    levels = (np.arange(256)[:, None] * gains - 120) * camera.contrast + 120
    exposed = cv2.LUT(scene, np.clip(levels, 0, 255).astype(np.uint8)[None])
    blur = camera.blur + (random.uniform(0.3, 0.9) if random.random() < 0.15 else 0.0)
    if blur > 0.25:
        exposed = cv2.GaussianBlur(exposed, (0, 0), blur)
    width, height = camera.size
    grain = camera.noise * random.standard_normal((height, width), np.float32)
    return np.asarray(cv2.add(exposed, cv2.merge([grain, grain, grain]), dtype=cv2.CV_8U), np.uint8)
