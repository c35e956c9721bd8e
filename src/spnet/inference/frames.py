"""The frames of whatever a person names or holds: images, folders, patterns, videos, addresses of streams."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import numpy.typing as npt

from spnet.data.sources import find_files, read_file
from spnet.data.video import is_address
from spnet.errors import UserError
from spnet.inference.images import ImageLike, read_pixels

Source = ImageLike | Sequence[ImageLike]


@dataclass(frozen=True)
class SourceFrame:
    """An image, or a frame of a video, and where it comes from."""

    file: str | None  # a file's absolute path, or an address; None of pixels that were given as such
    time: float  # seconds from the first frame; 0 of an image
    pixels: npt.NDArray[np.uint8]  # (H, W, 3) RGB


def list_sources(source: Source) -> list[ImageLike]:
    """What a source stands for, one by one: names as addresses or as files. Raises UserError as `find_files`."""
    if isinstance(source, (str, Path)):
        return [source] if is_address(source) else [*find_files([source])]
    if isinstance(source, (list, tuple)):
        return [one for part in source for one in list_sources(part)]
    return [cast(ImageLike, source)]  # what is no image is refused when it is read


def read_sources(
    sources: Iterable[ImageLike], fps: float | None, on_error: Callable[[UserError], None] | None = None
) -> Iterator[SourceFrame]:
    """The frames of listed sources, one after the other; of videos about `fps` a second, all of them without.

    What is wrong with a source that cannot be read goes to `on_error`, and the next ones are read; without it, it is
    raised (UserError).
    """
    for source in sources:
        try:
            yield from _read(source, fps)
        except UserError as error:
            if on_error is None:
                raise
            on_error(error)


def _read(source: ImageLike, fps: float | None) -> Iterator[SourceFrame]:
    if isinstance(source, (str, Path)):
        for frame in read_file(source, fps):
            yield SourceFrame(str(source), frame.time, frame.pixels)
    else:
        yield SourceFrame(None, 0.0, read_pixels(source))
