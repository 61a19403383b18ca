"""A device ends after days without use: by its hub, even if the portal is away, as the end is in the spec."""

from __future__ import annotations

import json
import math
from datetime import datetime, timedelta

import pytest
from django.test import Client
from django.utils import timezone

from portal.actions.organization import set_unused_days
from portal.exceptions import InvalidInput
from portal.models import ApiToken, JournalEntry, Membership, Organization, Role
from tests.factories import BY, make_client_peer, make_member, observe_peers, settle
from tests.fixtures import signed_in
from tests.vpn.api.caller import Caller
from tests.vpn.confirming_server import Server
from vpn.actions.peers.admission import expire_peers
from vpn.actions.peers.keys import rotate_keys
from vpn.actions.peers.peer import create_client_peer, update_peer
from vpn.actions.peers.use import count_use
from vpn.desired import compile_spec
from vpn.jobs.apply import apply_urgently
from vpn.models import Instance, Peer
from vpn.presenters.peers.end import end_words

pytestmark = pytest.mark.both_databases
DAY = timedelta(days=1)


@pytest.fixture
def device(instance: Instance, member: Membership, organization: Organization) -> Peer:
    """A device that ends after 30 days without use, on its hub."""
    set_unused_days(organization, 30, by=BY)
    instance.refresh_from_db()
    peer = make_client_peer(instance, member)
    settle(instance)
    return fresh(peer)


def fresh(peer: Peer) -> Peer:
    """The device as it is stored now."""
    return Peer.objects.select_related("instance", "member__user").get(pk=peer.pk)


def age(peer: Peer, days: float) -> None:
    """As if all that was counted had been so many days ago."""
    columns = ("use_counted_at", "unused_until")
    Peer.objects.filter(pk=peer.pk).update(**{name: getattr(peer, name) - timedelta(days=days) for name in columns})


def about(at: datetime | None, expected: datetime) -> bool:
    """Are these times the same, but for the test's own duration?"""
    return at is not None and abs(at - expected) < timedelta(minutes=1)


def test_a_new_device_gets_what_the_organization_set(device: Peer) -> None:
    assert device.unused_days == 30
    assert about(device.unused_until, timezone.now() + 31 * DAY)
    assert device.expires_at is None


def test_without_a_setting_nothing_ends(client_peer: Peer) -> None:
    assert (client_peer.unused_days, client_peer.ends_at, end_words(client_peer)) == (None, None, "")


def test_the_hub_is_told_the_earlier_end(device: Peer) -> None:
    def told() -> float:
        peers = compile_spec(device.instance_id).document["peers"]
        return float(peers[str(device.pk)]["expires_at"])

    assert device.unused_until is not None
    assert told() == math.ceil(device.unused_until.timestamp())
    date = timezone.now() + 5 * DAY
    update_peer(device, expires_at=date, by=BY)
    assert told() == math.ceil(date.timestamp())
    assert fresh(device).unused_until == device.unused_until, "the date that an admin set is apart"


def test_use_moves_the_end_once_a_day(device: Peer) -> None:
    age(device, 10)
    used = timezone.now() - 2 * DAY
    observe_peers(device, last_handshake=used)
    assert count_use(5.0, by=BY)
    moved = fresh(device)
    assert (moved.use_counted_at, moved.unused_until) == (used, used + 31 * DAY)
    assert moved.changed_generation == moved.instance.desired_generation > device.changed_generation
    generation = moved.instance.desired_generation
    observe_peers(device, last_handshake=used + timedelta(hours=20))
    assert count_use(5.0, by=BY)
    assert fresh(device).instance.desired_generation == generation, "not yet a day later"
    assert not JournalEntry.objects.filter(code__startswith="peer.", object_id=str(device.pk)).exclude(
        code="peer.created"
    )


def test_a_clock_that_is_ahead_moves_no_end_further(device: Peer) -> None:
    age(device, 10)
    observe_peers(device, last_handshake=timezone.now() + timedelta(seconds=20))
    count_use(5.0, by=BY)
    assert fresh(device).unused_until <= timezone.now() + 31 * DAY  # type: ignore[operator]


def test_use_of_an_earlier_key_does_not_count(device: Peer) -> None:
    age(device, 10)
    observe_peers(device, last_handshake=timezone.now())
    Peer.objects.filter(pk=device.pk).update(public_key="B" * 43 + "=")
    before = fresh(device).unused_until
    count_use(5.0, by=BY)
    assert fresh(device).unused_until == before


@pytest.fixture
def ended(device: Peer) -> Peer:
    """The device after 31 days without use."""
    age(device, 31.1)
    return fresh(device)


def test_a_device_without_use_ends_and_says_why(
    ended: Peer, server: Server, admin_browser: Client, member: Membership
) -> None:
    assert not ended.is_admitted
    assert not Peer.objects.admitted().filter(pk=ended.pk).exists()
    expire_peers(by=BY)
    apply_urgently(str(ended.instance_id))
    assert fresh(ended).applied_digest == ""
    assert JournalEntry.objects.filter(code="peer.ended_unused", object_id=str(ended.pk)).count() == 1
    for browser, path in ((admin_browser, f"/peers/{ended.pk}/"), (signed_in(member.user), "/my/")):
        page = browser.get(path).content.decode()
        assert "Ended without use" in page
        assert "It was not used for 30 days. Renew its key" in page
        assert "last seen" not in page
    assert "after 30 days without use" in end_words(ended)
    assert end_words(ended).startswith("Ended on ")


def test_late_news_of_use_does_not_bring_it_back(ended: Peer) -> None:
    observe_peers(ended, last_handshake=timezone.now() - DAY)
    count_use(5.0, by=BY)
    assert not fresh(ended).is_admitted


def test_who_owns_it_renews_it(ended: Peer, member: Membership) -> None:
    browser = signed_in(member.user)
    assert browser.post(f"/peers/{ended.pk}/rotate/").status_code == 302
    renewed = fresh(ended)
    assert renewed.is_admitted
    assert about(renewed.unused_until, timezone.now() + 31 * DAY)


@pytest.mark.parametrize("act", ["renew", "enable", "other days", "no days"])
def test_what_counts_from_now(act: str, ended: Peer) -> None:
    if act == "renew":
        rotate_keys(ended, by=BY)
    elif act == "enable":
        update_peer(ended, enabled=False, by=BY)
        update_peer(ended, enabled=True, by=BY)
    else:
        update_peer(ended, unused_days=None if act == "no days" else 60, by=BY)
    left = fresh(ended)
    assert left.is_admitted
    if act == "no days":
        assert (left.unused_until, left.use_counted_at) == (None, None)
    else:
        assert about(left.unused_until, timezone.now() + (61 if act == "other days" else 31) * DAY)


def test_pages_say_when_it_ends(device: Peer, admin_browser: Client, member_browser: Client) -> None:
    words = "after 30 days without use. Using it before moves that day."
    for path in (f"/peers/{device.pk}/", f"/people/{device.member_id}/"):
        assert words in admin_browser.get(path).content.decode()
    assert words in member_browser.get("/my/").content.decode()
    update_peer(device, expires_at=timezone.now() + 5 * DAY, by=BY)
    page = admin_browser.get(f"/peers/{device.pk}/").content.decode()
    assert ", used or not." in page
    listed = admin_browser.get(f"/instances/{device.instance_id}/").content.decode()
    assert f"ends on {timezone.localtime(timezone.now() + 5 * DAY):%-d %B}" in listed


def test_the_form_sets_and_ends_it(device: Peer, admin_browser: Client, member: Membership) -> None:
    page = admin_browser.get(f"/instances/{device.instance_id}/peers/new-client/").content.decode()
    assert 'name="unused_days" value="30"' in page
    values = {"device": "laptop", "route_all": "false", "protocol": "wireguard", "expires_at": ""}
    admin_browser.post(f"/peers/{device.pk}/edit/", {**values, "unused_days": "90"})
    assert fresh(device).unused_days == 90
    admin_browser.post(f"/peers/{device.pk}/edit/", {**values, "unused_days": ""})
    assert fresh(device).ends_at is None
    refused = admin_browser.post(f"/peers/{device.pk}/edit/", {**values, "unused_days": "0"})
    assert refused.status_code == 200


def test_programs_set_and_read_it(device: Peer, admin: Membership) -> None:
    api = Caller(ApiToken.issue(admin)[1])
    path = f"/instances/{device.instance_id}/peers"
    body = {"type": "client", "user_id": str(device.member_id), "device": "phone"}
    made = json.loads(api.post(path, body).content)
    assert made["unused_days"] == 30
    assert about(datetime.fromisoformat(made["ends_at"]), timezone.now() + 31 * DAY)
    assert made["expires_at"] is None
    none = json.loads(api.post(path, {**body, "device": "tablet", "unused_days": None}).content)
    assert (none["unused_days"], none["ends_at"]) == (None, None)
    assert json.loads(api.put(f"{path}/{made['id']}", {"unused_days": 7}).content)["unused_days"] == 7
    assert api.put(f"{path}/{made['id']}", {"unused_days": 0}).status_code == 422
    whole = json.loads(api.get(f"{path}/{made['id']}").content)
    assert api.put(f"{path}/{made['id']}", whole).status_code == 200
    listed = {row["id"]: row for row in json.loads(api.get(path).content)}
    assert listed[made["id"]] == whole


def test_an_operator_allows_no_more_than_the_organization(device: Peer, organization: Organization) -> None:
    operator = make_member(organization, Role.OPERATOR, instance_ids=[str(device.instance_id)])
    api, path = Caller(ApiToken.issue(operator)[1]), f"/instances/{device.instance_id}/peers/{device.pk}"
    assert api.put(path, {"unused_days": 31}).status_code == 422
    assert api.put(path, {"unused_days": None}).status_code == 422
    assert api.put(path, {"unused_days": 10}).status_code == 200
    browser = signed_in(operator.user)
    values = {"device": "laptop", "route_all": "false", "protocol": "wireguard", "expires_at": "", "unused_days": "31"}
    assert b"Choose at most 30 days" in browser.post(f"/peers/{device.pk}/edit/", values).content
    assert fresh(device).unused_days == 10


@pytest.mark.parametrize("days", [0, 3651])
def test_days_out_of_bounds_are_refused(days: int, instance: Instance, member: Membership) -> None:
    with pytest.raises(InvalidInput):
        create_client_peer(instance, member=member, unused_days=days, by=BY)
    with pytest.raises(InvalidInput):
        set_unused_days(instance.organization, days, by=BY)


def test_the_organization_sets_it_on_its_page(admin_browser: Client, organization: Organization) -> None:
    admin_browser.post("/settings/", {"name": organization.name, "unused_days": "45"})
    organization.refresh_from_db()
    assert organization.unused_days == 45
    line = JournalEntry.objects.get(code="organization.unused_days_changed")
    assert line.changes["unused_days"] == [None, 45]
