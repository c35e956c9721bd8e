"""Any picture a person may hold, a path, a PIL image, an array or a tensor, as a view the network takes."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from spnet.data.augment import Augmentation, draw_view, make_view
from spnet.data.scenes import View
from spnet.errors import UserError

Picture = str | Path | Image.Image | np.ndarray | Tensor


def read_pixels(picture: Picture) -> np.ndarray:
    """RGB pixels (H, W, 3) uint8. Files and PIL images are turned as their EXIF orientation says.

    Arrays are (H, W, 3) uint8; tensors (3, H, W) uint8.

    Raises:
        UserError: a file that is missing or no picture, an array of another shape or type.
    """
    if isinstance(picture, (str, Path)):
        return _read_file(Path(picture))
    if isinstance(picture, Image.Image):
        return np.array(ImageOps.exif_transpose(picture).convert("RGB"))
    pixels = picture.permute(1, 2, 0).cpu().numpy() if isinstance(picture, Tensor) and picture.ndim == 3 else picture
    if isinstance(pixels, np.ndarray) and pixels.dtype == np.uint8 and pixels.size and pixels.shape[2:] == (3,):
        return pixels
    shape, kind = tuple(getattr(picture, "shape", ())), getattr(picture, "dtype", type(picture).__name__)
    raise UserError(
        f"a picture of shape {shape} and type {kind}: expected uint8, an array (H, W, 3) or a tensor (3, H, W)"
    )


def _read_file(path: Path) -> np.ndarray:
    try:
        with Image.open(path) as opened:
            return np.array(ImageOps.exif_transpose(opened).convert("RGB"))
    except UnidentifiedImageError as error:
        raise UserError(f"image {path} cannot be read: no known picture format") from error
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise UserError(f"image {path} cannot be read: {' '.join(reason.split())}") from error


def make_picture_view(pixels: np.ndarray, window: tuple[int, int]) -> View:
    """A whole picture (H, W, 3), resized into the window, without boxes."""
    height, width, _ = pixels.shape
    nobody = np.zeros((0, 4))
    plan = draw_view(
        Augmentation("wrs", window=window), (width, height), nobody, np.zeros(0, bool), np.random.default_rng(0)
    )
    scale_x, scale_y = np.abs(plan.affine[0]).tolist()
    none = torch.zeros(0, dtype=torch.int64)
    return View(make_view(pixels, 1, plan), 0, (scale_x, scale_y), torch.zeros(0, 4), none, none)
