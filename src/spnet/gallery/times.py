"""Times as people write and read them: of the clock, or from a video's beginning."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime

from spnet.errors import UserError

PLACE = re.compile(r"(?:(\d+):)?(\d+):(\d{1,2}(?:\.\d+)?)")


@dataclass(frozen=True)
class Moment:
    """A time of the clock (seconds since 1970 UTC), or a place in a video (seconds from its beginning)."""

    seconds: float
    is_clock: bool


def parse_moment(text: str, option: str) -> Moment:
    """A date with a time is the clock's, UTC where no zone is named; `1:02:03`, `2:03` and `123.5` are places.

    Raises UserError, naming the option.
    """
    if (place := parse_place(text)) is not None:
        return Moment(place, False)
    return Moment(parse_clock(text, option), True)


def parse_clock(text: str, option: str) -> float:
    """Seconds since 1970 of a date with a time, UTC where no zone is named. Raises UserError."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise UserError(
            f"{option} {text}: no time; write 2026-05-31T14:30:00, or 1:02:03 or 75.5 for a place in a video"
        ) from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def parse_place(text: str) -> float | None:
    """Seconds of a place in a video, None where the text is none."""
    if match := PLACE.fullmatch(text):
        hours, minutes, seconds = match.groups()
        return 3600 * float(hours or 0) + 60 * float(minutes) + float(seconds)
    return float(text) if re.fullmatch(r"\d+(\.\d+)?", text) else None


def show_place(seconds: float) -> str:
    """`1:02:03` or `2:03.4`."""
    tenths = round(seconds * 10)
    minutes, rest = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest // 10:02d}" if hours else f"{minutes}:{rest // 10:02d}.{rest % 10}"


def show_clock(seconds: float) -> str:
    """`2026-05-31 14:30:00`, UTC."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S}"
