"""The catalogues of translations, as files of gettext."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import polib

from tests.messages.marked import ROOT, Message, collect

_PLACEHOLDER: Final = re.compile(r"%\(\w+\)[sd]|%[sd]|\{\w*\}")


def catalogues() -> list[Path]:
    """The file of each language."""
    return sorted((ROOT / "locale").glob("*/LC_MESSAGES/django.po"))


def key_of(entry: polib.POEntry) -> Message:
    """What gettext looks this entry up by."""
    return Message(entry.msgid, entry.msgid_plural or None, entry.msgctxt)


def update(catalogue: polib.POFile) -> polib.POFile:
    """The catalogue with exactly the marked texts, in the order of their files; translations are kept."""
    known = {key_of(entry): entry for entry in catalogue if not entry.obsolete}
    updated = polib.POFile(wrapwidth=100)
    updated.metadata = catalogue.metadata
    for message, files in collect().items():
        entry = known.get(message) or _entry(message)
        # Without line numbers, because these change with every commit.
        entry.occurrences = [(name, "") for name in files]
        entry.flags = ["python-format"] if "%(" in message.text else []
        updated.append(entry)
    return updated


def is_translated(entry: polib.POEntry) -> bool:
    """True if each form has a text."""
    forms = list(entry.msgstr_plural.values()) if entry.msgid_plural else [entry.msgstr]
    return bool(forms) and all(forms)


def faults(entry: polib.POEntry) -> list[str]:
    """What is wrong with a translation: it is fuzzy, obsolete, half done, or has other placeholders or markup."""
    found = [flag for flag in entry.flags if flag == "fuzzy"] + (["obsolete"] if entry.obsolete else [])
    forms = list(entry.msgstr_plural.values()) if entry.msgid_plural else [entry.msgstr]
    if any(forms) and not all(forms):
        found.append("a plural form is empty")
    for form in filter(None, forms):
        # A singular may name its number in words.
        allowed = [_parts(text) for text in (entry.msgid, entry.msgid_plural) if text]
        if _parts(form) not in allowed:
            found.append(f"placeholders or tags differ: {form}")
    return found


def _parts(text: str) -> list[str]:
    return sorted([*_PLACEHOLDER.findall(text), *re.findall(r"</?\w+", text)])


def _entry(message: Message) -> polib.POEntry:
    entry = polib.POEntry(msgid=message.text, msgid_plural=message.plural or "", msgctxt=message.context)
    if message.plural:
        entry.msgstr_plural = {0: "", 1: ""}
    return entry
