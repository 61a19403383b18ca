"""Who requested an operation, in words."""

from __future__ import annotations

from django.utils.translation import gettext as _

from portal.models import Principal, PrincipalKind
from portal.told import listed_names
from vpn.models import Operation


def askers_words(operation: Operation) -> str:
    """As in "Asked by anna@example.org"; "" for an operation of an earlier version, which did not store it."""
    askers = [Principal.from_document(document) for document in operation.asked_by]
    people = listed_names([str(one) for one in askers if one.kind != PrincipalKind.PORTAL])
    reasons = listed_names([_(one.reason) for one in askers if one.kind == PrincipalKind.PORTAL and one.reason])
    if people and reasons:
        return _("Asked by %(people)s; by the portal: %(reasons)s") % {"people": people, "reasons": reasons}
    if reasons:
        return _("By the portal: %(reasons)s") % {"reasons": reasons}
    return _("Asked by %(people)s") % {"people": people} if people else ""
