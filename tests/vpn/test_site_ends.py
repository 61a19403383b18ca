"""A site ends by a date or after days without use where an admin sets that on it, and its admins are mailed before."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from django.core import mail
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from portal.actions.organization import set_unused_days
from portal.actions.queued_mail import send_queued
from portal.models import ApiToken, JournalEntry, Membership, Organization, QueuedMail, Role
from tests.factories import BY, make_member, make_site, observe_peers, settle
from tests.fixtures import signed_in
from tests.vpn.api.caller import Caller
from tests.vpn.confirming_server import Server
from vpn.actions.peers.admission import expire_peers
from vpn.actions.peers.keys import rotate_keys
from vpn.actions.peers.peer import create_site_peer, update_peer
from vpn.actions.peers.reminder import remind
from vpn.actions.peers.use import count_use
from vpn.desired import compile_spec
from vpn.jobs.apply import apply_urgently
from vpn.models import Instance, Peer, Site

pytestmark = pytest.mark.both_databases
DAY = timedelta(days=1)


def fresh(peer: Peer) -> Peer:
    """The site's peer as it is stored now."""
    return Peer.objects.select_related("instance", "site").get(pk=peer.pk)


@pytest.fixture
def router(site_peer: Peer) -> Peer:
    """A site that ends after 30 days without use, on its hub for long."""
    update_peer(site_peer, unused_days=30, by=BY)
    Peer.objects.filter(pk=site_peer.pk).update(created_at=timezone.now() - 100 * DAY)
    settle(site_peer.instance)
    return fresh(site_peer)


def age(peer: Peer, days: float) -> None:
    """As if all that was counted had been so many days ago."""
    columns = ("use_counted_at", "unused_until")
    Peer.objects.filter(pk=peer.pk).update(**{name: getattr(peer, name) - timedelta(days=days) for name in columns})


def test_an_organizations_days_are_for_devices_alone(instance: Instance, site: Site) -> None:
    set_unused_days(instance.organization, 30, by=BY)
    peer = create_site_peer(instance, site=site, subnets=["10.1.0.0/24"], by=BY)
    assert (peer.unused_days, peer.ends_at) == (None, None)


def test_its_own_days_count_from_then_on_and_use_moves_the_end(router: Peer) -> None:
    assert router.unused_until is not None
    assert abs(router.unused_until - timezone.now() - 31 * DAY) < timedelta(minutes=1)
    age(router, 10)
    used = timezone.now() - 2 * DAY
    observe_peers(router, last_handshake=used)
    assert count_use(5.0, by=BY)
    assert fresh(router).unused_until == used + 31 * DAY


@pytest.mark.parametrize("why", ["date", "unused"])
def test_its_hub_ends_it_with_what_it_advertises(why: str, router: Peer, server: Server) -> None:
    spec = compile_spec(router.instance_id).document["peers"][str(router.pk)]
    assert spec["expires_at"] >= router.unused_until.timestamp()  # type: ignore[union-attr]
    if why == "unused":
        age(router, 31.1)
    else:
        Peer.objects.filter(pk=router.pk).update(expires_at=timezone.now() - DAY)
    assert not Peer.objects.admitted_sites().filter(pk=router.pk)
    assert str(router.pk) not in compile_spec(router.instance_id).document["peers"]
    expire_peers(by=BY)
    apply_urgently(str(router.instance_id))
    assert fresh(router).applied_digest == ""
    code = "peer.ended_unused" if why == "unused" else "peer.expired"
    assert JournalEntry.objects.filter(code=code, object_id=str(router.pk)).count() == 1


def test_pages_say_so_and_renewed_keys_bring_it_back(router: Peer, admin_browser: Client) -> None:
    page = admin_browser.get(f"/peers/{router.pk}/").content.decode()
    assert "after 30 days without use. Using it before moves that day." in page
    age(router, 31.1)
    assert "Ended without use" in admin_browser.get(f"/peers/{router.pk}/").content.decode()
    rotate_keys(fresh(router), by=BY)
    assert fresh(router).is_admitted


def test_forms_set_and_end_it(site_peer: Peer, admin_browser: Client, organization: Organization) -> None:
    url = f"/peers/{site_peer.pk}/edit/"
    values = {"subnets": "10.1.0.0/24", "subnets_shown": "10.1.0.0/24", "protocol": "wireguard", "expires_at": ""}
    assert admin_browser.post(url, {**values, "unused_days": "90"}).status_code == 302
    assert fresh(site_peer).unused_days == 90
    assert fresh(site_peer).subnets == ["10.1.0.0/24"]
    assert b'value="90"' in admin_browser.get(url).content
    day = f"{timezone.localtime(timezone.now() + 5 * DAY):%Y-%m-%dT%H:%M}"
    admin_browser.post(url, {**values, "unused_days": "", "expires_at": day})
    ended = fresh(site_peer)
    assert ended.unused_until is None
    assert ended.ends_at is not None
    admin_browser.post(url, {**values, "unused_days": ""})
    assert fresh(site_peer).ends_at is None
    assert admin_browser.post(url, {**values, "unused_days": "0"}).status_code == 200
    other = make_site(organization, name="Rome")
    new = {"site_id": str(other.pk), "subnets": "10.2.0.0/24", "protocol": "wireguard", "unused_days": "20"}
    assert admin_browser.post(f"/instances/{site_peer.instance_id}/peers/new-site/", new).status_code == 302
    assert Peer.objects.get(site=other).unused_days == 20


def test_programs_set_and_read_it(instance: Instance, site: Site, admin: Membership) -> None:
    api, path = Caller(ApiToken.issue(admin)[1]), f"/instances/{instance.pk}/peers"
    body = {"type": "site", "site_id": str(site.pk), "subnets": ["10.1.0.0/24"], "unused_days": 60}
    made = json.loads(api.post(path, body).content)
    assert (made["unused_days"], made["expires_at"]) == (60, None)
    assert made["ends_at"] is not None
    assert api.put(f"{path}/{made['id']}", {"unused_days": 0}).status_code == 422
    assert json.loads(api.put(f"{path}/{made['id']}", {"unused_days": None}).content)["ends_at"] is None
    past = {"expires_at": (timezone.now() - DAY).isoformat()}
    assert api.put(f"{path}/{made['id']}", past).status_code == 422


def test_an_operator_allows_no_more_than_an_admin_set(router: Peer, organization: Organization) -> None:
    operator = make_member(organization, Role.OPERATOR, instance_ids=[str(router.instance_id)])
    api, path = Caller(ApiToken.issue(operator)[1]), f"/instances/{router.instance_id}/peers/{router.pk}"
    assert api.put(path, {"unused_days": 31}).status_code == 422
    assert api.put(path, {"unused_days": None}).status_code == 422
    assert api.put(path, {"unused_days": 20}).status_code == 200
    assert signed_in(operator.user).get(f"/peers/{router.pk}/edit/").status_code == 200


def reminded() -> list[tuple[str, str]]:
    """To whom the reminders go that are due now, and what they say."""
    assert remind(5.0, by=BY)
    assert remind(5.0, by=BY), "a second run finds nothing"
    for queued in list(QueuedMail.objects.all()):
        send_queued(queued.pk, by=BY)
    found = [(message.to[0], str(message.body)) for message in mail.outbox]
    mail.outbox.clear()
    return found


@pytest.mark.parametrize("why", ["date", "unused"])
def test_all_admins_are_mailed_before(why: str, router: Peer, admin: Membership, settings: Settings) -> None:
    settings.EMAIL_CONFIGURED = True
    second = make_member(router.instance.organization, Role.ADMIN)
    make_member(router.instance.organization, Role.OPERATOR, instance_ids=[str(router.instance_id)])
    assert not reminded()
    if why == "unused":
        age(router, 24.1)
    else:
        Peer.objects.filter(pk=router.pk).update(expires_at=timezone.now() + 6.9 * DAY)
    found = reminded()
    assert sorted(to for to, _ in found) == sorted([admin.user.email, second.user.email])
    words = "let its router connect once" if why == "unused" else "set a later date"
    for _, body in found:
        assert f"The site {router.label} ends on {router.instance.name}" in body
        assert words in body
        assert f"{settings.PUBLIC_URL}/peers/{router.pk}/" in body
    line = JournalEntry.objects.get(code="peer.admins_reminded", object_id=str(router.pk))
    assert (line.details["days_before"], sorted(line.details["to"])) == (7, sorted(to for to, _ in found))
    assert not JournalEntry.objects.filter(code="peer.reminded")
    assert not reminded()
