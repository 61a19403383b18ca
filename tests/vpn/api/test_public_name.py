"""A hub's public name over the API, and on the pages of profiles."""

from __future__ import annotations

from django.test import Client
from pytest_django import Settings

from portal.running.dns_url import parse_dns_url
from tests.factories import settle
from tests.vpn.api.caller import Caller, told
from vpn.models import Instance, Peer, PublicName

ADDRESS = "203.0.113.1"


def test_the_name_is_manual_waiting_or_published(api: Caller, instance: Instance, settings: Settings) -> None:
    records = [{"type": "A", "value": ADDRESS}]

    def shown() -> object:
        return told(api.get(f"/instances/{instance.pk}"), 200)["public_name"]

    assert shown() == {"state": "manual", "records": records}
    settings.VPN_DOMAIN = "vpn.acme.test"
    settings.DNS_PUBLISHER = parse_dns_url("rfc2136://key:c2VjcmV0@192.0.2.53/acme.test", "vpn.acme.test")
    assert shown() == {"state": "waiting", "records": records}
    seen = PublicName.objects.create(name=instance.full_hostname, instance=instance, resolved=["192.0.2.1"])
    assert shown() == {"state": "waiting", "records": records}
    PublicName.objects.filter(pk=seen.pk).update(resolved=[ADDRESS])
    assert shown() == {"state": "published", "records": records}


def test_the_page_of_a_profile_says_what_it_points_to(admin_browser: Client, client_peer: Peer) -> None:
    settle(client_peer.instance)
    Peer.objects.filter(pk=client_peer.pk).update(applied_digest="x")
    path, name = f"/peers/{client_peer.pk}/profile/", client_peer.instance.full_hostname

    def shown() -> str:
        return admin_browser.post(path, headers={"Accept": "text/html"}).content.decode()

    assert "The profile points to the hub&#x27;s address." in shown()
    PublicName.objects.create(name=name, instance=client_peer.instance, resolved=[ADDRESS])
    assert f"The profile points to the hub&#x27;s name, {name}" in shown()
    assert f"Endpoint = {name}:" in shown()
    assert name in admin_browser.get(f"/peers/{client_peer.pk}/").content.decode()
