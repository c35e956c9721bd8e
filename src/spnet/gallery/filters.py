"""What a filter means: to the tables a SQL condition, to a file the part of it that is left."""

from pathlib import Path

from spnet.errors import UserError
from spnet.gallery.lance import one_of
from spnet.gallery.results import Filter
from spnet.gallery.schema import SourceRow
from spnet.gallery.second_look import Span
from spnet.gallery.store import Store
from spnet.gallery.times import Moment


def condition(where: Filter, store: Store) -> str | None:
    """The SQL condition on tracklets, None for all. Raises UserError for a camera or a file that is not indexed."""
    parts = []
    if where.cameras:
        cameras = sorted({source.camera for source in store.sources()})
        if unknown := sorted(set(where.cameras) - set(cameras)):
            raise UserError(f"--camera {unknown[0]}: the index has {', '.join(cameras)}")
        parts.append(one_of("camera", where.cameras))
    if where.files:
        parts.append(one_of("source", store.source_ids(where.files)))
    if where.first is not None:
        parts.append(f"{_column(where.first, 'last')} >= {where.first.seconds}")
    if where.last is not None:
        parts.append(f"{_column(where.last, 'first')} <= {where.last.seconds}")
    return " AND ".join(parts) or None


def span(source: SourceRow, where: Filter) -> Span | None:
    """The part of a file that a filter leaves, None for nothing."""
    files = [str(Path(file).absolute()) for file in where.files]
    if (where.cameras and source.camera not in where.cameras) or (files and source.file not in files):
        return None
    begin, end = 0.0, source.next_time if source.kind == "video" else 0.0
    for moment, is_first in ((where.first, True), (where.last, False)):
        if moment is None:
            continue
        if moment.is_clock and source.start is None:
            return None
        place = moment.seconds - (source.start or 0.0) if moment.is_clock else moment.seconds
        begin, end = (max(begin, place), end) if is_first else (begin, min(end, place))
    return Span(source, begin, end) if begin <= end else None


def _column(moment: Moment, which: str) -> str:
    return f"clock_{which}" if moment.is_clock else which
