"""Rows of a table are filled into HTML that was rendered once for their shape: each has its own texts, escaped."""

from __future__ import annotations

from typing import Any

from django.template import Context, Template
from django.utils.safestring import SafeString

from portal.web.filled import filled_rows

_TEMPLATE = (
    '<i title="{{ name }}">{{ name }}</i>{% if note %}<b>{{ note }}</b>{% endif %}{% if is_site %}Site{% endif %}'
)


def html_of(row: dict[str, Any]) -> str:
    return Template(_TEMPLATE).render(Context(row))


def test_each_row_is_what_its_template_renders() -> None:
    rendered: list[dict[str, Any]] = []

    def render(row: dict[str, Any]) -> str:
        rendered.append(row)
        return html_of(row)

    rows = [
        {"name": name, "note": note, "is_site": is_site}
        for name in ("Berlin", 'a "b" <c> & d\'s', "{{ note }}", "\ue000note\ue001", "note")
        for note in ("", "outdated", SafeString("<u>safe</u>"))
        for is_site in (True, False)
    ]
    assert filled_rows(render, rows) == "".join(map(html_of, rows))
    # Once for each shape: with and without a note, site and device.
    assert len(rendered) == 4


def test_an_empty_text_is_none() -> None:
    assert filled_rows(html_of, [{"name": "", "note": "", "is_site": False}]) == '<i title=""></i>'
    assert filled_rows(html_of, []) == ""
