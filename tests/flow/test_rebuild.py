"""A hub is built anew on its own server, where there is no other: stock clients come back with the files they have."""

from __future__ import annotations

import pytest

from tests.flow.story import add_client, fetch_profile, id_in
from tests.lab.lab import Lab
from tests.lab.nodes import OUTSIDE_V4
from tests.lab.waiting import wait_until
from tests.running_portal import RunningPortal
from tests.shared_portal import Tenant

pytestmark = [pytest.mark.flow, pytest.mark.network]

WITHIN = 120.0


def test_a_hub_is_rebuilt_in_place(lab: Lab, portal: RunningPortal, tenant: Tenant) -> None:
    admin, laptop = tenant.visitor(), lab.add_client("laptop")
    created = admin.submit("/instances/new/", {"name": "Hub anew", "hostname": "hub-anew", "region": "local"})
    base = f"/instances/{id_in(created, 'instances')}/"
    wait_until(lambda: "Ready" in admin.get(base).text, WITHIN, "the instance to be ready", portal.logs)
    peer = add_client(admin, base.split("/")[2], device="laptop", route_all="true")
    lab.wg_quick_up(laptop, fetch_profile(admin, peer))
    lab.wait_ping(laptop, OUTSIDE_V4, 30)
    assert "has no other server that is ready" in admin.get(f"{base}rebuild/").text
    pinging = lab.start_ping(laptop, OUTSIDE_V4)
    assert admin.submit(f"{base}rebuild/").url.endswith("/progress/")
    wait_until(lambda: "hx-trigger" not in admin.get(f"{base}progress/").text, WITHIN, "the end", portal.logs)
    shown = admin.get(f"{base}progress/").text
    assert "The hub was removed from This machine and built there anew" in shown, shown
    pinging.wait_for_replies(3, 60)
    print(f"longest gap: {pinging.stop().longest_gap:.1f} s")
    wait_until(lambda: "Ready" in admin.get(base).text, 60, "the instance to be settled", portal.logs)
    assert "outdated" not in admin.get(f"/peers/{peer}/").text.lower()
