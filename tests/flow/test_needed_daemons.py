"""A hub runs its resolver and OpenVPN's listeners from the first device that needs them until the last one is gone."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.flow.story import add_client, fetch_profile, id_in
from tests.lab.lab import Lab
from tests.lab.waiting import wait_until
from tests.shared_portal import Tenant

pytestmark = [pytest.mark.flow, pytest.mark.network]

# A page answers before the hub has changed; the machine may be busy.
WITHIN = 30.0
# The portal knocks three times a minute.
KNOCKED_WITHIN = 90.0
GATEWAY = "100.64.0.1"
STARTS = "Starts with the first OpenVPN peer."


def daemons(lab: Lab) -> set[str]:
    """The daemons of the laboratory's only hub."""
    [hub] = lab.hubs()
    found = set()
    for netns in (lab.host.netns, f"hub-{hub}"):
        for pid in lab.run(lab.host, ["ip", "netns", "pids", netns]).stdout.split():
            with contextlib.suppress(OSError):
                found.add(Path(f"/proc/{pid}/comm").read_text().strip())
    return found & {"wireguard-go", "openvpn", "dnsmasq"}


class Api:
    """The instance as programs see it."""

    def __init__(self, tenant: Tenant, instance: str) -> None:
        self._url = f"{tenant.portal.url}/api/v1/vpn/instances/{instance}"
        self._headers = {"Authorization": f"Bearer {tenant.portal.manage('api_token', tenant.email)}"}

    def read(self) -> dict[str, Any]:
        """Return the instance."""
        found: dict[str, Any] = requests.get(self._url, headers=self._headers, timeout=10).json()
        return found

    def openvpn(self) -> set[str | None]:
        """Return the states of OpenVPN's two listeners."""
        reachable = self.read()["reachable"]
        return {reachable["openvpn_udp"], reachable["openvpn_tcp"]}


def test_daemons_start_with_the_first_peer_that_needs_them_and_end_with_the_last(lab: Lab, tenant: Tenant) -> None:
    admin = tenant.visitor()
    phone, laptop, tablet = (lab.add_client(name) for name in ("phone", "laptop", "tablet"))
    created = admin.submit("/instances/new/", {"name": "Frankfurt hub", "hostname": "fra-needed", "region": "local"})
    instance = id_in(created, "instances")
    api, settings = Api(tenant, instance), f"/instances/{instance}/settings/"
    wait_until(lambda: api.read()["state"] == "ready", 60, "the instance to be ready")
    assert daemons(lab) == {"wireguard-go"}
    assert STARTS in admin.get(settings).text

    over_wireguard = add_client(admin, instance, device="phone")
    lab.wg_quick_up(phone, fetch_profile(admin, over_wireguard))
    lab.wait_ping(phone, GATEWAY, 20)
    wait_until(lambda: daemons(lab) == {"wireguard-go", "dnsmasq"}, WITHIN, "the resolver", tenant.logs)

    over_openvpn = add_client(admin, instance, device="laptop", protocol="openvpn")
    lab.openvpn_up(laptop, fetch_profile(admin, over_openvpn))
    lab.wait_ping(laptop, GATEWAY, 20)
    assert "openvpn" in daemons(lab)
    assert STARTS not in admin.get(settings).text
    wait_until(lambda: api.openvpn() == {"proven"}, KNOCKED_WITHIN, "the listeners to be proven", tenant.logs)

    admin.submit(f"/peers/{over_openvpn}/delete/", {})
    wait_until(lambda: daemons(lab) == {"wireguard-go", "dnsmasq"}, WITHIN, "the end of the listeners", tenant.logs)
    wait_until(lambda: api.openvpn() == {None}, KNOCKED_WITHIN, "the end of the proof", tenant.logs)
    assert not {need["code"] for need in api.read()["needs"]} - {"resolver-silent", "hub-late"}
    assert lab.ping(phone, GATEWAY), "WireGuard goes on"

    again = add_client(admin, instance, device="tablet", protocol="openvpn")
    lab.openvpn_up(tablet, fetch_profile(admin, again))
    lab.wait_ping(tablet, GATEWAY, 20)
    assert not lab.ping(laptop, GATEWAY), "the removed device does not come back with the listeners"

    for peer in (again, over_wireguard):
        admin.submit(f"/peers/{peer}/delete/", {})
    wait_until(lambda: daemons(lab) == {"wireguard-go"}, WITHIN, "the end of the resolver", tenant.logs)
    wait_until(lambda: api.read()["server_ready"], WITHIN, "a hub with everything applied", tenant.logs)
