"""Sentences in rows: a code and values are stored, and the reader's words are shown. Old rows keep their English."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.utils import translation
from django.utils.translation import trans_real

from portal import told
from portal.told import as_text, from_text, in_words, joined_words, sentences, text_in_words, told_names
from tests.messages.marked import ROOT

_MADE = re.compile(r"""\btold(?:_names)?\(\s*"([a-z-]+)\"""")


@pytest.fixture
def german() -> Iterator[None]:
    """A catalogue that knows three of the texts."""
    with translation.override("de"):
        catalog: Any = trans_real.catalog()
        known = {
            ("Rule %(names)s added", 0): "Regel %(names)s hinzugefügt",
            ("Rule %(names)s added", 1): "Regeln %(names)s hinzugefügt",
            "%(parts)s and %(last)s": "%(parts)s und %(last)s",
            "Created": "Angelegt",
        }
        with pytest.MonkeyPatch.context() as patch:
            layers = catalog._catalog._catalogs
            patch.setattr(catalog._catalog, "_catalogs", [known, *layers])
            yield


def _sources() -> Iterator[Path]:
    for app in ("portal", "vpn"):
        yield from (ROOT / app).rglob("*.py")


def test_each_code_that_is_stored_has_words() -> None:
    found = {code for path in _sources() for code in _MADE.findall(path.read_text())}
    assert len(found) > 30
    assert found <= told._WORDS.keys()


def test_each_reason_of_a_knock_has_words() -> None:
    sources = (path.read_text() for path in (ROOT / "vpn" / "drivers").rglob("*.py"))
    found = {f"knock-{code}" for text in sources for code in re.findall(r'\breason\("([a-z-]+)"', text)}
    assert len(found) > 8
    assert found <= told._WORDS.keys()


def test_rows_keep_no_sentence() -> None:
    kept = told_names("rules-added", ["“web”", "“mail”"])
    assert kept == {"code": "rules-added", "names": ["“web”", "“mail”"], "count": 2}
    assert in_words(kept) == "Rules “web” and “mail” added"


@pytest.mark.usefixtures("german")
def test_the_reader_gets_the_words_of_their_language() -> None:
    assert in_words(told_names("rules-added", ["“web”"])) == "Regel “web” hinzugefügt"
    assert in_words(told_names("rules-added", ["“web”", "“mail”"])) == "Regeln “web” und “mail” hinzugefügt"
    assert sentences({"changed": [told.told("created")], "note": "as it is"}) == {
        "changed": ["Angelegt"],
        "note": "as it is",
    }


@pytest.mark.usefixtures("german")
def test_a_row_from_before_keeps_its_sentence() -> None:
    assert in_words("Rule “web” added") == "Rule “web” added"
    assert text_in_words("The mail server did not take it (550).") == "The mail server did not take it (550)."


def test_an_unknown_code_of_a_newer_release_is_shown_as_it_is() -> None:
    assert in_words(told.told("of-tomorrow", names=["a"])) == "of-tomorrow"


def test_a_sentence_may_have_another_one_among_its_values() -> None:
    why = told.told("mail-failed", error="SMTPServerDisconnected")
    assert in_words(told.told("mail-given-up", why=why)) == (
        "The mail server did not take it (SMTPServerDisconnected). Mail another one, or ask the operator of this "
        "portal."
    )
    assert (
        joined_words([told.told("applied-before"), "Undone: all"]) == "The server had everything already. Undone: all"
    )


def test_a_column_of_text_keeps_codes_and_never_half_of_one() -> None:
    refused = told.told("mail-refused", answer="550")
    assert from_text(as_text(refused, 200)) == refused
    long = as_text(told.told("link-deactivated", membership="x" * 300), 200)
    assert long == "x" * 200
    assert text_in_words(long) == long
    assert text_in_words('{"code": broken') == '{"code": broken'
