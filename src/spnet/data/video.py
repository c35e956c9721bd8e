"""Videos as frames with their times, and frames as video files; PyAV (FFmpeg) decodes and encodes.

A video is a file, or the address of one or of a live stream (`rtsp://camera/stream`).

Times are seconds from a stream's first frame, by its time stamps, so a variable frame rate is no special case. Frames
are turned as the file says, as players do.
"""

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from math import ceil, floor
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Self

import numpy as np
import numpy.typing as npt

from spnet.errors import UserError
from spnet.extras import import_extra

if TYPE_CHECKING:
    from av import VideoFrame
    from av.container import InputContainer
    from av.video.stream import VideoStream

VIDEO_SUFFIXES = frozenset(
    (".mp4", ".m4v", ".mov", ".mkv", ".avi", ".webm", ".mpg", ".mpeg", ".ts", ".mts", ".m2ts", ".wmv", ".flv", ".3gp")
)
ASSUMED_RATE = 25.0  # frames a second, of a stream that has neither time stamps nor a rate
SLACK = 1e-6  # seconds: time stamps are rounded
SEEK_MARGIN = 1.0  # seconds: some containers land a little late
ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)
LIVE = frozenset(("rtsp", "rtsps", "rtmp", "rtmps", "rtp", "srt", "udp"))  # protocols that wait for nobody
PATIENCE = 10.0  # seconds without an answer from an address
MOST_FPS = 1000


@dataclass(frozen=True)
class Frame:
    """One frame of a video."""

    time: float  # seconds from the first frame
    pixels: npt.NDArray[np.uint8]  # (H, W, 3) RGB


@dataclass(frozen=True)
class VideoInfo:
    """What a video's header says."""

    duration: float | None  # seconds
    created: float | None  # seconds since 1970, UTC


def is_address(source: str | Path) -> bool:
    """Whether a source is the address of a stream rather than a file: `PROTOCOL://...`."""
    return isinstance(source, str) and ADDRESS.match(source) is not None


def is_live(source: str | Path) -> bool:
    """Whether an address is that of a live stream, whose frames do not wait until they are read."""
    return is_address(source) and str(source).partition("://")[0].lower() in LIVE


def check_fps(fps: float | None) -> None:
    """Raise UserError for frames a second that cannot be read."""
    if fps is not None and not 0 < fps <= MOST_FPS:
        raise UserError(f"--fps {fps:g}: must be above 0 and at most {MOST_FPS}")


def read_info(path: Path) -> VideoInfo:
    """Read a video's header. Raises UserError for a file that is missing or no video."""
    with _open(path) as (container, stream):
        duration = None if container.duration is None else container.duration / 1_000_000
        if stream.duration is not None and stream.time_base is not None:
            duration = float(stream.duration * stream.time_base)
        return VideoInfo(duration, _creation_time({**container.metadata, **stream.metadata}))


def read_frames(path: str | Path, fps: float | None, begin: float = 0.0, end: float | None = None) -> Iterator[Frame]:
    """Frames of a video from `begin` seconds on, and before `end`, about `fps` a second; all of them without `fps`.

    The first frame at or after each tick k / fps is taken. Which these are does not depend on `begin`, so reading may
    go on where it stopped, and spans that follow one another have the frames of the whole. Damaged packets are skipped;
    a live stream ends when its connection does, or after ten seconds without a frame.

    Raises:
        UserError: a file that is missing, no video, or without any frame that can be decoded; an address that does not
            answer within ten seconds.
    """
    with _open(path) as (container, stream):
        if begin > SEEK_MARGIN:
            _seek(container, stream, begin - SEEK_MARGIN)
        tick = ceil(begin * fps - SLACK * fps) if fps else 0
        anything = False
        for time, frame in _decode(container, stream, _shown(path)):
            anything = True
            if end is not None and time >= end - SLACK:
                return
            if time < (tick / fps if fps else begin) - SLACK:
                continue
            tick = floor((time + SLACK) * fps) + 1 if fps else 0
            yield Frame(time, _upright(frame))
        if not anything and begin == 0:
            raise UserError(f"video {_shown(path)} cannot be read: no frame of it can be decoded")


def next_tick(time: float, fps: float | None) -> float:
    """Where reading goes on after the frame at `time` was taken, in seconds."""
    return (floor((time + SLACK) * fps) + 1) / fps if fps else time + 2 * SLACK


def read_frame(path: Path, time: float) -> Frame:
    """The frame at or next after `time` seconds. Raises UserError where there is none."""
    frame = next(read_frames(path, None, time), None)
    if frame is None:
        raise UserError(f"video {path} has no frame at or after {time:g} s")
    return frame


class VideoWriter:
    """Writes frames (H, W, 3) uint8 RGB as an MP4 file at a constant rate; a context manager.

    The first frame decides the size of all of them; an odd side loses its last row. `created`, seconds since 1970, is
    kept as the file's creation time.
    """

    def __init__(self, path: Path, fps: float, created: float | None = None) -> None:
        av = import_extra("av")
        from fractions import Fraction

        self._container = av.open(str(path), "w", format="mp4")
        if created is not None:
            self._container.metadata["creation_time"] = f"{datetime.fromtimestamp(created, UTC):%Y-%m-%dT%H:%M:%S.%fZ}"
        codec = "libx264" if "libx264" in av.codecs_available else "mpeg4"
        self._stream = self._container.add_stream(codec, rate=Fraction(fps).limit_denominator(1000))
        self._is_empty = True
        self._stream.pix_fmt = "yuv420p"
        self._stream.options = {"crf": "18", "threads": "1"} if codec == "libx264" else {}
        if codec == "mpeg4":
            self._stream.bit_rate = 4_000_000

    def write(self, pixels: npt.NDArray[np.uint8]) -> None:
        """Append one frame."""
        av = import_extra("av")
        if self._is_empty:
            self._stream.height, self._stream.width = (side - side % 2 for side in pixels.shape[:2])
            self._is_empty = False
        even = np.ascontiguousarray(pixels[: self._stream.height, : self._stream.width])
        self._container.mux(self._stream.encode(av.VideoFrame.from_ndarray(even, "rgb24")))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None and not self._is_empty:
                self._container.mux(self._stream.encode())
        finally:
            self._container.close()


@contextmanager
def _open(path: str | Path) -> Iterator[tuple["InputContainer", "VideoStream"]]:
    av = import_extra("av")
    av.logging.set_level(None)  # a thread of FFmpeg that logs needs Python's lock; closing waits for the thread
    # over TCP no packet of RTSP is lost; other protocols do not know the option
    remote = {"timeout": PATIENCE, "options": {"rtsp_transport": "tcp"}} if is_address(path) else {}
    begun = monotonic()
    try:
        container = av.open(str(path), **remote)
    except (av.FFmpegError, OSError, ValueError) as error:
        late = is_address(path) and monotonic() - begun >= PATIENCE  # FFmpeg gives another reason for each protocol
        reason = f"no answer in {PATIENCE:g} seconds" if late else _reason(error)
        raise UserError(f"video {_shown(path)} cannot be read: {reason}") from None
    with container:
        if not container.streams.video:
            raise UserError(f"video {_shown(path)} cannot be read: there is no video stream in it")
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        yield container, stream


def _shown(path: str | Path) -> str:
    """What messages say: addresses without a password."""
    return re.sub(r"(?<=://)[^/@\s]*@", "", str(path))


def _reason(error: Exception) -> str:
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return _shown(reason.splitlines()[0])


def _decode(container: "InputContainer", stream: "VideoStream", name: str) -> Iterator[tuple[float, "VideoFrame"]]:
    """Frames that can be decoded, with their seconds from the stream's start."""
    av = import_extra("av")
    rate, count = float(stream.average_rate or ASSUMED_RATE), 0
    first = float(stream.start_time * stream.time_base) if stream.start_time and stream.time_base else 0.0
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets, None)
        except av.FFmpegError as error:
            logging.getLogger(__name__).warning("video %s ends early: %s", name, _reason(error))
            return
        if packet is None:
            return
        try:
            frames = packet.decode()
        except av.FFmpegError:
            continue
        for frame in frames:
            time = frame.time - first if frame.time is not None else count / rate
            count += 1
            yield time, frame


def _seek(container: "InputContainer", stream: "VideoStream", time: float) -> None:
    """To the key frame before `time`; a container that cannot seek is read from its start."""
    av = import_extra("av")
    try:
        if stream.time_base:
            container.seek(int(time / stream.time_base) + (stream.start_time or 0), stream=stream)
    except av.FFmpegError:
        container.seek(0)


def _upright(frame: "VideoFrame") -> npt.NDArray[np.uint8]:
    pixels = np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)
    quarters = round(getattr(frame, "rotation", 0) / 90) % 4
    return np.ascontiguousarray(np.rot90(pixels, quarters)) if quarters else pixels


def _creation_time(metadata: dict[str, str]) -> float | None:
    text = metadata.get("com.apple.quicktime.creationdate") or metadata.get("creation_time") or metadata.get("date")
    try:
        moment = datetime.fromisoformat(text) if text else None
    except ValueError:
        return None
    if moment is None or moment.year < 1990:  # cameras without a clock write 1904 or 1970
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
