"""Drill: an admin's rule cuts off the admin's own tunnel, and the portal dies: the hub takes the rule back.

The portal is one that stories share: afterwards its supervisor starts everything again. DRILL=1 waits for the real two
minutes; the short form has a shorter trial.
"""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from portal.running.family import NAME_PREFIX
from tests.flow.story import add_client, fetch_profile, id_in
from tests.lab.lab import Lab
from tests.lab.waiting import wait_until
from tests.running_portal import RunningPortal
from tests.shared_portal import Tenant

pytestmark = [pytest.mark.flow, pytest.mark.network]

_LONG = bool(os.environ.get("DRILL"))
SECONDS = 120 if _LONG else 8
# After its time: a quiet machine needs less than a second.
BACK_WITHIN = 2.0 if _LONG else 30.0
WITHIN = 60.0


@contextmanager
def dead(portal: RunningPortal) -> Iterator[None]:
    """Inside, nothing of the portal runs, and nothing restarts it. Hubs and their agent are left alone."""
    supervisor = int((portal.layout.run / "supervisord.pid").read_text())
    programs = [portal.pid(name) for name in ("redis", "family", "services")]
    os.kill(supervisor, signal.SIGSTOP)
    try:
        for pid in {*filter(None, programs), *forked(portal)}:
            os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not forked(portal) and portal.get("/healthz")[0] == 0, WITHIN, "the portal's end")
        yield
    finally:
        os.kill(supervisor, signal.SIGCONT)


def forked(portal: RunningPortal) -> list[int]:
    """The web process, the workers and their like."""
    return [pid for pid in portal.processes() if name_of(pid).startswith(NAME_PREFIX)]


def name_of(pid: int) -> str:
    """The name that a process gave itself; "" for one that has ended."""
    try:
        return Path(f"/proc/{pid}/comm").read_text().rstrip("\n")
    except OSError:
        return ""


def test_a_rule_that_cuts_the_admin_off_is_taken_back_with_the_portal_dead(
    lab: Lab, portal: RunningPortal, tenant: Tenant
) -> None:
    admin = tenant.visitor()
    laptop, desk = lab.add_client("laptop"), lab.add_client("desk")
    created = admin.submit("/instances/new/", {"name": "Frankfurt hub", "hostname": "fra-trial", "region": "local"})
    instance = id_in(created, "instances")
    page, firewall = f"/instances/{instance}/", f"/instances/{instance}/firewall/"
    wait_until(lambda: "Ready" in admin.get(page).text, 120, "the instance to be ready", tenant.logs)
    there = ""  # the desk, in the end
    for node in (laptop, desk):
        profile = fetch_profile(admin, add_client(admin, instance, device=node.name, protocol="wireguard"))
        lab.wg_quick_up(node, profile)
        there = re.findall(r"(?m)^Address = ([0-9.]+)/", profile)[0]
    lab.wait_ping(laptop, there)

    rule = {"name": "oops", "action": "drop", "protocol": "any", "source": "any", "destination": "any"}
    values = {**{f"firewall-0-{name}": value for name, value in rule.items()}, "confirm_within": str(SECONDS)}
    saved_at: list[float] = []

    def is_saved() -> bool:
        # Until the server was observed, its agent may be one that cannot return.
        saved_at.append(time.monotonic())
        return "or the hub returns." in admin.submit(firewall, values, expect=None).text

    wait_until(is_saved, WITHIN, "the rule to be saved", tenant.logs)
    wait_until(lambda: not lab.ping(laptop, there, timeout=0.3), WITHIN, "the tunnel to be cut", tenant.logs)
    cut_at = time.monotonic()
    if _LONG:
        assert "Keep this change?" in admin.get(page).text
    with dead(portal):
        wait_until(lambda: lab.ping(laptop, there, timeout=0.3), SECONDS + BACK_WITHIN, "the traffic to be back")
        back_at = time.monotonic()
        print(f"the traffic was back {back_at - cut_at:.2f} s after the rule cut it, on trial for {SECONDS} s")
        assert back_at - saved_at[-1] >= SECONDS
        assert back_at - cut_at <= SECONDS + BACK_WITHIN

    # The portal follows, and does not send the rule again.
    portal.await_healthy()
    admin = tenant.visitor()
    unconfirmed = "The last change was not confirmed, so the hub returned"
    wait_until(lambda: unconfirmed in admin.get(page).text, WITHIN, "the page to say so", tenant.logs)
    assert "oops" not in admin.get(firewall).text.replace("“oops”", "")
    assert "Returned to the former settings" in admin.get("/activity/").text
    wait_until(lambda: "Applying" not in admin.get(page).text, WITHIN, "everything to be applied", tenant.logs)
    assert lab.ping(laptop, there)
