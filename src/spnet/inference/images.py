"""Any image a person may hold, a path, a PIL image, an array or a tensor, as a view the network takes."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from spnet.config.schema import InferenceConfig
from spnet.data.augment import sample_view, warp, whole_scene
from spnet.data.dataloader import collate
from spnet.data.dataset import Sample
from spnet.data.decode import check_pixels, read_upright, turn_upright
from spnet.errors import UserError
from spnet.types import SceneBatch

ImageLike = str | Path | Image.Image | npt.NDArray[np.uint8] | Tensor


def read_pixels(image: ImageLike) -> npt.NDArray[np.uint8]:
    """RGB pixels (H, W, 3) uint8. Files and PIL images are turned as their EXIF orientation says.

    Arrays are (H, W, 3) uint8; tensors (3, H, W) uint8. Raises UserError for a file that is missing, no image or too
    large, and for an array of another shape or type.
    """
    if isinstance(image, (str, Path)):
        return read_upright(Path(image))
    if isinstance(image, Image.Image):
        check_pixels(image.size, "an image")
        return turn_upright(image)
    pixels = image.permute(1, 2, 0).cpu().numpy() if isinstance(image, Tensor) and image.ndim == 3 else image
    if isinstance(pixels, np.ndarray) and pixels.dtype == np.uint8 and pixels.size and pixels.shape[2:] == (3,):
        return pixels
    shape, kind = tuple(getattr(image, "shape", ())), getattr(image, "dtype", type(image).__name__)
    raise UserError(
        f"an image of shape {shape} and type {kind}: expected uint8, an array (H, W, 3) or a tensor (3, H, W)"
    )


def make_image_sample(pixels: npt.NDArray[np.uint8], inference: InferenceConfig) -> Sample:
    """A whole image (H, W, 3), resized as the network is used, without boxes."""
    height, width, _ = pixels.shape
    nobody = np.zeros((0, 4))
    plan = sample_view(whole_scene(inference), (width, height), nobody, np.zeros(0, bool), np.random.default_rng(0))
    scale_x, scale_y = np.abs(plan.affine[0]).tolist()
    none = torch.zeros(0, dtype=torch.int64)
    return Sample(warp(pixels, 1, plan), 0, (scale_x, scale_y), torch.zeros(0, 4), none, none)


def fit_window(pixels: Sequence[npt.NDArray[np.uint8]], window: tuple[int, int], antialias: bool) -> SceneBatch:
    """Images (H, W, 3) resized to fit into a window (height, width) and zero-padded to it, as one batch."""
    return collate([[_view_in_window(image, window, antialias) for image in pixels]], window)


def _view_in_window(pixels: npt.NDArray[np.uint8], window: tuple[int, int], antialias: bool) -> Sample:
    height, width, _ = pixels.shape
    upright = (window[0], window[1]) if height <= width else (window[1], window[0])  # limits of the short and long side
    return make_image_sample(pixels, InferenceConfig(min(upright), upright[1], antialias=antialias))
