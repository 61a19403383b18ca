"""Answers the search of a choice among many rows."""

from __future__ import annotations

from typing import Any, cast

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from portal.forms.searched import SearchingForm
from portal.htmx import HtmxRequest


def show_search(request: HttpRequest, template: str, context: dict[str, Any], form: SearchingForm) -> HttpResponse:
    """The options that match, if HTMX asks for them; else the page with the form as it was typed."""
    field = form.asked_field
    if field is not None and cast("HtmxRequest", request).htmx.target == field.target:
        return render(request, field.template, {"field": field})
    return render(request, template, context)
