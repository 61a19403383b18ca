"""Django admin names models and their fields in the reader's language."""

from __future__ import annotations

from django.apps import apps
from django.contrib import admin
from django.utils import translation


def test_every_model_that_staff_see_has_a_german_name() -> None:
    shown = [model for model in admin.site._registry if model._meta.app_label in {"portal", "vpn"}]
    assert len(shown) > 15
    english = {model.__name__: str(model._meta.verbose_name_plural) for model in shown}
    with translation.override("de"):
        german = {model.__name__: str(model._meta.verbose_name_plural) for model in shown}
    assert {name for name, words in german.items() if words == english[name]} == set()
    assert (english["JournalEntry"], german["JournalEntry"]) == ("journal entries", "Zeilen des Journals")


def test_labels_are_english_for_programs() -> None:
    field = apps.get_model("vpn", "Peer")._meta.get_field("key_custody")
    assert str(field.verbose_name) == "key custody"
    with translation.override("de"):
        assert str(field.verbose_name) == "Verwahrung des Schlüssels"
