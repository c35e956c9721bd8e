"""Times as people write them."""

from datetime import UTC, datetime

import pytest

from spnet.errors import UserError
from spnet.gallery.times import Moment, parse_clock, parse_moment, parse_place, show_clock, show_place

NOON = datetime(2026, 5, 4, 12, 0, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("75.5", Moment(75.5, False)),
        ("1:15.5", Moment(75.5, False)),
        ("1:02:03", Moment(3723, False)),
        ("2026-05-04T12:00", Moment(NOON, True)),
        ("2026-05-04 14:00:00+02:00", Moment(NOON, True)),
    ],
)
def test_moments(text: str, moment: Moment) -> None:
    assert parse_moment(text, "--from") == moment


@pytest.mark.parametrize("text", ["noon", "", "1:2:3:4", "-5", "nan", "2026-13-01T00:00"])
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(UserError, match=r"^--from .*: no time; write 2026"):
        parse_moment(text, "--from")


def test_shown_and_read_again() -> None:
    for seconds in (0.0, 9.9, 59.96, 61.5, 3599.9):
        assert parse_place(show_place(seconds)) == pytest.approx(round(seconds, 1))
    assert show_place(3723) == "1:02:03"
    assert parse_clock(show_clock(NOON), "--start") == NOON
