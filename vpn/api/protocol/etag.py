"""ETags over what users set, and If-Match against concurrent changes."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from django.db import models, transaction
from django.http import HttpRequest

from portal.actions.quota import lock_organization
from portal.models import Group, Membership
from vpn.actions.change import lock_instance
from vpn.actions.sites.subnets import lock_site
from vpn.api.protocol.errors import Refusal
from vpn.api.schemas.base import Out
from vpn.models import Instance, Peer, Site

Row = TypeVar("Row", bound=models.Model)


def etag_of(shown: Out) -> str:
    """A strong validator over a representation without observed fields: a handshake is not an edit."""
    left_out: dict[str, Any] = dict.fromkeys(shown.observed, True)
    left_out |= {field: {"__all__": set(names)} for field, names in shown.observed_within.items()}
    data = shown.model_dump(mode="json", exclude=left_out)
    return f'"{hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()[:32]}"'


def refuse_stale(request: HttpRequest, show: Callable[[], Out]) -> None:
    """Raise the refusal (412) where the caller sent If-Match and its ETag is not that of what is shown."""
    wanted = request.headers.get("If-Match")
    if wanted is not None and wanted.strip() != "*" and etag_of(show()) not in _tags(wanted):
        raise Refusal(412, "stale", "This was changed meanwhile. Read it again, then send the change again.")


@contextmanager
def unless_changed(
    request: HttpRequest,
    fetch: Callable[[], Row],
    show: Callable[[Row], Out],
    *,
    lock_before: Callable[[Row], None] | None = None,
) -> Iterator[Row]:
    """Yield the object to change; if the caller sent If-Match, within the change's transaction.

    `fetch` is then called under the row's lock, so that no other change comes between comparison and change. Raises the
    refusal (412) if the caller's ETag is stale. `lock_before` locks what the change locks before the row.
    """
    wanted = request.headers.get("If-Match")
    if wanted is None or wanted.strip() == "*":
        yield fetch()
        return
    with transaction.atomic():
        if lock_before is not None:
            lock_before(fetch())
        lock(fetch())
        current = fetch()
        refuse_stale(request, lambda: show(current))
        yield current


def lock(row: models.Model) -> None:
    """Lock an object's row until the transaction ends, in the actions' locking order, so that no deadlock arises."""
    if isinstance(row, Peer):
        if row.site_id:
            lock_organization(row.instance.organization_id)
            lock_site(row.site_id, row.instance_id)
        else:
            lock_instance(row.instance_id)
        return
    if isinstance(row, (Instance, Site, Membership, Group)):
        # The change may include its pool, rules or subnets.
        lock_organization(row.organization_id)
    if isinstance(row, Instance):
        lock_instance(row.pk)
    elif isinstance(row, Site):
        Site.objects.select_for_update().get(pk=row.pk)


def _tags(header: str) -> set[str]:
    # If-Match compares strongly (RFC 9110, section 13.1.1): a weak tag matches nothing.
    found: Any = re.findall(r'(W/)?("[^"]*")', header)
    return {tag for weak, tag in found if not weak}
