"""A person chooses a language."""

from __future__ import annotations

from django import forms
from django.conf import settings
from django.utils.translation import gettext_lazy as _


def _choices() -> list[tuple[str, object]]:
    return [("", _("As the browser says")), *settings.LANGUAGES]


class LanguageForm(forms.Form):
    """One of the offered languages, each by its own name."""

    language = forms.ChoiceField(label=_("Language"), required=False, choices=_choices)
