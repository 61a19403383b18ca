"""The journal of the organization: filters, search, pages, export."""

from __future__ import annotations

from itertools import groupby
from typing import Any, Final
from urllib.parse import urlencode
from uuid import UUID

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from portal.access import get_reader
from portal.actions.journal import note_export
from portal.audit.export import as_csv, as_json_lines
from portal.audit.field_words import field_words
from portal.audit.reading import find, shown_actor, shown_origin, walk, words_of
from portal.audit.words import KINDS
from portal.forms.activity import ActivityForm
from portal.htmx import render_page
from portal.models import JournalEntry, Receipt
from portal.told import sentences
from portal.web.export import as_file, id_in

PAGE_SIZE: Final = 50
MOST_EXPORTED: Final = 100_000
# Acts on a person by which something of theirs may have ended.
_ENDING: Final = {"member.changed", "member.deleted"}
_FILES: Final = {"csv": (as_csv, "text/csv"), "jsonl": (as_json_lines, "application/jsonl")}


@require_safe
def activity(request: HttpRequest) -> HttpResponse:
    """The lines, newest first, by day."""
    member = get_reader(request)
    form = ActivityForm(request.GET)
    found = find(member.organization_id, form.filters, limit=PAGE_SIZE, before=id_in(request.GET.get("before", "")))
    given = form.given
    context = {
        "form": form,
        "days": _by_day(found.lines, given),
        "found": found,
        "older": urlencode({**given, "before": str(found.before)}) if found.before else "",
        "is_older": "before" in request.GET,
        "query": urlencode(given),
        "given": given,
        "chips": _chips(found.lines, given),
        "most_exported": MOST_EXPORTED,
    }
    return render_page(request, "portal/activity.html", context, fragment="lines")


@require_POST
def activity_export(request: HttpRequest) -> HttpResponseBase:
    """The lines that the filters leave, as a file; the journal says who exported it."""
    member = get_reader(request)
    form = ActivityForm(request.POST)
    name = "jsonl" if request.POST.get("format") == "jsonl" else "csv"
    write, content_type = _FILES[name]
    file = f"activity-{member.organization.slug}-{timezone.localtime():%Y-%m-%d}.{name}"
    note_export(member.organization, file, form.given, by=member.principal)
    lines = walk(member.organization_id, form.filters, MOST_EXPORTED)
    return as_file(write(lines), file, content_type)


def _by_day(lines: list[JournalEntry], given: dict[str, str]) -> list[tuple[Any, list[dict[str, Any]]]]:
    days = groupby(lines, key=lambda line: timezone.localtime(line.at).date())
    with_receipt = _with_receipt(lines)
    return [(day, [_shown(line, given) | {"receipt": line.pk in with_receipt} for line in some]) for day, some in days]


def _with_receipt(lines: list[JournalEntry]) -> set[UUID]:
    """Which of these lines tell of an act that ended somebody's access: its receipt has the line's id."""
    ids = [line.pk for line in lines if line.code in _ENDING]
    return set(Receipt.objects.filter(pk__in=ids).values_list("pk", flat=True)) if ids else set()


def _shown(line: JournalEntry, given: dict[str, str]) -> dict[str, Any]:
    """What the page says of a line."""
    actor, (address, user_agent) = shown_actor(line), shown_origin(line)
    return {
        "line": line,
        "what": words_of(line.code),
        "kind": KINDS.get(line.object_kind, line.object_kind),
        "who": str(actor),
        "by_actor": _with(given, actor=actor.id) if actor.id and given.get("actor") != actor.id else "",
        "by_object": _with(given, object=line.object_id) if given.get("object") != line.object_id else "",
        "address": address,
        "user_agent": user_agent,
        "changes": [(field_words(name), *map(_text, pair)) for name, pair in line.changes.items()],
        "details": [(field_words(name), _text(sentences(value))) for name, value in line.details.items() if value],
    }


def _text(value: Any) -> str:
    if value is None or value == "" or value == []:
        return _("none")
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _with(given: dict[str, str], **more: str) -> str:
    return urlencode({**given, **more})


def _chips(lines: list[JournalEntry], given: dict[str, str]) -> list[tuple[str, str]]:
    """The filters that are set by following a link: in words, with the query without them."""
    chips = []
    for name, words in (("actor", _("By %(name)s")), ("object", _("About %(name)s"))):
        if name in given:
            shown = next((_name_in(line, name) for line in lines if getattr(line, f"{name}_id") == given[name]), "")
            chips.append(
                (words % {"name": shown or given[name]}, urlencode({k: v for k, v in given.items() if k != name}))
            )
    return chips


def _name_in(line: JournalEntry, name: str) -> str:
    return str(shown_actor(line)) if name == "actor" else line.object_name
