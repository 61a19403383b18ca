"""Texts that a person sees are marked for translation, and a language is offered only if it is complete."""

from __future__ import annotations

import re
from pathlib import Path

import polib
import pytest
from django.conf import settings

from tests.messages.catalogue import catalogues, faults, is_translated, key_of
from tests.messages.marked import ROOT, TEMPLATES, Message, collect, marked_in
from tests.messages.unmarked import unmarked
from tests.messages.unmarked_code import files, unmarked_in

# Folders, and code, whose marked texts each catalogue translates already.
TRANSLATED: tuple[str, ...] = ()


def _templates() -> list[Path]:
    return [path for path in sorted(TEMPLATES.rglob("*")) if path.suffix in {".html", ".txt"}]


def test_texts_of_templates_are_marked() -> None:
    found = {str(path.relative_to(ROOT)): texts for path in _templates() if (texts := unmarked(path))}
    assert not found, "mark these texts for translation (docs/translation.md)"


def test_texts_of_code_are_marked() -> None:
    found = {str(path.relative_to(ROOT)): texts for path in files() if (texts := [*unmarked_in(path.read_text())])}
    assert not found, "mark these texts for translation (docs/translation.md)"


def test_scripts_take_their_sentences_from_the_page() -> None:
    sentence = re.compile(r"""["'`][A-Z][a-z]+(?: [^"'`]*)?["'`]""")
    named = {'"Enter"', '"Escape"', '"Accept"', '"ArrowUp"', '"ArrowDown"'}
    scripts = sorted((ROOT / "static" / "js").glob("*.js"))
    lines = [line for path in scripts for line in path.read_text().splitlines() if not line.lstrip().startswith("//")]
    assert {text for line in lines for text in sentence.findall(line)} - named == set()


def test_no_plural_counts_a_value_that_it_replaced_itself() -> None:
    """Django sets the values of `with` before it counts: `count n=rows|length with rows=rows|length` counts none."""
    counting = re.compile(r"{% blocktranslate (?P<values>(?:[^%]*\s)?count (?P<number>\w+)=(?P<counted>\w+)[^%]*)%}")
    found = {
        (str(path.relative_to(ROOT)), match["counted"])
        for path in _templates()
        for match in counting.finditer(path.read_text())
        if match["counted"] in {*re.findall(r"(\w+)=", match["values"])} - {match["number"]}
    }
    assert not found


@pytest.mark.parametrize("path", catalogues(), ids=lambda path: path.parts[-3])
def test_translations_agree_with_their_texts(path: Path) -> None:
    found = {entry.msgid: wrong for entry in polib.pofile(str(path)) if (wrong := faults(entry))}
    assert not found


@pytest.mark.parametrize("path", catalogues(), ids=lambda path: path.parts[-3])
def test_what_was_translated_stays_so(path: Path) -> None:
    translated = _translated(path)
    missing = {
        message.text: files
        for message, files in collect().items()
        if message not in translated and any(name.startswith(TRANSLATED) for name in files)
    }
    assert not missing, "run `make messages`, then translate these texts"


def test_an_offered_language_is_complete() -> None:
    offered = [code for code, _ in settings.LANGUAGES if code != settings.LANGUAGE_CODE]
    if not offered:
        return
    for code in offered:
        translated = _translated(ROOT / "locale" / code / "LC_MESSAGES" / "django.po")
        assert [message.text for message in collect() if message not in translated] == []


def test_all_ways_of_marking_are_found(tmp_path: Path) -> None:
    template = tmp_path / "page.html"
    template.write_text(
        '{% translate "One" %} {% chip "good" _("Two") %} {% blocktranslate trimmed count n=many with x=y|z %}\n'
        "  {{ n }} of\n  100% {{ x }}{% plural %}{{ n }} others{% endblocktranslate %}"
        '{% blocktranslate context "verb" %}Open{% endblocktranslate %}'
    )
    code = tmp_path / "code.py"
    code.write_text('_("Three")\nngettext("%(n)d a", "%(n)d b", n)\npgettext("noun", "Change")\nunrelated("Four")\n')
    assert set(marked_in(template)) == {
        Message("One"),
        Message("Two"),
        Message("%(n)s of 100%% %(x)s", "%(n)s others"),
        Message("Open", context="verb"),
    }
    assert set(marked_in(code)) == {
        Message("Three"),
        Message("%(n)d a", "%(n)d b"),
        Message("Change", context="noun"),
    }


def test_all_kinds_of_unmarked_text_are_found(tmp_path: Path) -> None:
    template = tmp_path / "page.html"
    template.write_text(
        '{% extends "base.html" %}<p title="A title" class="not this">Some <b>text</b>{% translate "Fine" %}</p>'
        '{% chip "good" "Words" %}{{ n|default:"not known" }}{{ n|pluralize }}<input type="submit" value="Send">'
        '<script>let fine;</script>{% url "name of it" %}{% comment %}Fine too{% endcomment %}<i>WireGuard</i>'
    )
    assert set(unmarked(template)) == {
        "Words", "not known", "n|pluralize", 'title="A title"', "Some", "text", 'value="Send"',
    }  # fmt: skip


def test_all_kinds_of_unmarked_text_in_code_are_found() -> None:
    code = (
        'Field(label="One", help_text=_("Fine"), widget="Fine")\nraise NotPossible(f"{name} is two.", code="fine")\n'
        'InvalidInput({"field": ["Three is wrong."]})\nmessages.success(request, "Four is done.")\n'
        'logger.info("This is fine.")\nraise Conflict(_("%(n)s is fine.") % {"n": n}, next_step="Five")\n'
        'InvalidInput.in_field("name", "Six is empty.")\n'
    )
    assert [*unmarked_in(code)] == ["One", "… is two.", "Three is wrong.", "Four is done.", "Five", "Six is empty."]


def _translated(path: Path) -> set[Message]:
    return {key_of(entry) for entry in polib.pofile(str(path)) if not entry.obsolete and is_translated(entry)}
