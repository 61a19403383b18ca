"""Who asked for an operation, in words."""

from __future__ import annotations

from portal.models import Principal, PrincipalKind
from vpn.actions.activity.change_words import listed_names
from vpn.models import Operation


def askers_words(operation: Operation) -> str:
    """As in "Asked by anna@example.org"; "" for an operation of an earlier version, which does not know it."""
    askers = [Principal.from_document(document) for document in operation.asked_by]
    people = [str(one) for one in askers if one.kind != PrincipalKind.PORTAL]
    reasons = [one.reason for one in askers if one.kind == PrincipalKind.PORTAL]
    parts = [f"asked by {listed_names(people)}"] if people else []
    if reasons:
        parts.append(f"by the portal: {listed_names(reasons)}")
    line = "; ".join(parts)
    return f"{line[:1].upper()}{line[1:]}"
