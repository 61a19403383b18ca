"""The list of an instance's peers: from columns, as thousands of model instances take longer than all else."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from django.http import HttpRequest, HttpResponse

from vpn.api.protocol.answers import many_rows
from vpn.api.protocol.paging import Page, page_of
from vpn.api.schemas.peer_rows import COLUMNS, PeerRow, show_rows
from vpn.choices import ProfileState
from vpn.models import Instance, Peer
from vpn.models.querysets import PeerQuerySet
from vpn.profiles.known import known_digests
from vpn.profiles.state import ProfileDigests, has_moved, profile_states


def answer_list(request: HttpRequest, instance: Instance, peers: PeerQuerySet, page: Page) -> HttpResponse:
    """A page of these peers of one instance, oldest first."""
    found, link = page_of(request, peers.values_list(*COLUMNS, named=True), page)
    rows = [PeerRow(*row) for row in found]
    return many_rows(list(show_rows(instance, rows, _states_of(instance, rows))), link)


def _states_of(instance: Instance, rows: Sequence[PeerRow]) -> dict[UUID, ProfileState]:
    """`profile_state` of each; a query if any is of OpenVPN."""
    digests = known_digests(instance)
    compared = [row.pk for row in rows if row.is_openvpn and row.delivered_digest]
    states: dict[UUID, ProfileState] = {}
    if compared:
        peers = Peer.objects.filter(pk__in=compared).select_related("member__user", "site").order_by()
        states = profile_states(instance, peers, digests=digests)
    return {row.pk: _state_of(instance, row, digests) for row in rows} | states


def _state_of(instance: Instance, row: PeerRow, digests: ProfileDigests) -> ProfileState:
    if not row.delivered_digest:
        return ProfileState.UNDELIVERED
    if row.is_openvpn:
        return ProfileState.OUTDATED  # unless it is there when its certificate is compared
    is_current = digests.is_digest_of(row, row.delivered_digest, digests.of_wireguard(row), row.router)
    return ProfileState.CURRENT if is_current and not has_moved(instance, row.delivered_host) else ProfileState.OUTDATED
