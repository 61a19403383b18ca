"""Days, times and numbers follow the reader's language; what programs read does not."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from django.utils import timezone, translation

from portal.figures import decimal, grouped
from portal.forms.day import DayInput
from vpn.templatetags.display import binary_bytes, duration, relative_time


@pytest.mark.parametrize(
    ("language", "figures"),
    [("en", ["1,234,567", "0.50", "1.5 KiB", "0.4 s"]), ("de", ["1.234.567", "0,50", "1,5 KiB", "0,4 s"])],
)
def test_numbers_have_the_separators_of_the_language(language: str, figures: list[str]) -> None:
    with translation.override(language):
        assert [grouped(1234567), decimal(0.5, 2), binary_bytes(1536), duration(0.4)] == figures


@pytest.mark.parametrize(
    ("language", "exact", "day", "ago"),
    [
        ("en", "2 March 2026, 14:05:06 UTC", ">2 Mar 2026<", ">3 d ago<"),
        ("de", "2. März 2026, 14:05:06 UTC", ">2. Mär 2026<", ">vor 3 Tagen<"),
    ],
)
def test_times_are_said_in_the_language(language: str, exact: str, day: str, ago: str) -> None:
    with translation.override(language):
        long_ago = relative_time(datetime(2026, 3, 2, 14, 5, 6, tzinfo=UTC))
        assert f'title="{exact}"' in long_ago
        assert 'datetime="2026-03-02T14:05:06+00:00"' in long_ago
        assert day in long_ago
        assert ago in relative_time(timezone.now() - timedelta(days=3, hours=1))


def test_a_field_for_a_day_is_written_as_browsers_read_it() -> None:
    with translation.override("de"):
        assert 'value="2026-11-27"' in DayInput().render("day", date(2026, 11, 27))
