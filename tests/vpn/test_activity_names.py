"""Activity names what an apply carried: which rules, which settings, which peers."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from portal.actions.member import change_member, remove_member
from portal.models import Membership, MembershipState
from portal.told import listed_names
from tests.factories import BY, make_client_peer, make_site, make_site_peer
from tests.vpn.confirming_server import Server
from vpn.actions.instances.recovery import raise_generation
from vpn.actions.instances.settings import update_instance
from vpn.actions.peers.peer import delete_peer, update_peer
from vpn.actions.sites.site import update_site
from vpn.drivers.base import AgentError, errors
from vpn.jobs.apply import apply_instance
from vpn.models import Instance, Operation

pytestmark = pytest.mark.usefixtures("server")


@pytest.fixture
def anna(member: Membership) -> Membership:
    """A member with a name."""
    member.user.name = "Anna"
    member.user.save()
    return member


@pytest.fixture
def hub(instance: Instance) -> Instance:
    """An instance whose hub has everything, so that changes travel as deltas."""
    raise_generation(instance.pk, by=BY)
    apply_instance(str(instance.pk))
    Operation.objects.all().delete()
    return instance


def applied(instance: Instance) -> str:
    """What the operation says that carries what was changed."""
    apply_instance(str(instance.pk))
    return instance.operations.order_by("-started_at")[0].summary


def rule(name: str, **values: str) -> dict[str, Any]:
    return {"name": name, "action": "drop", "source": "10.1.0.0/24", "destination": "10.2.0.0/24", **values}


def test_peers_are_named(hub: Instance, anna: Membership) -> None:
    laptop = make_client_peer(hub, anna, "laptop")
    assert applied(hub) == "Anna / laptop added"
    make_client_peer(hub, anna, "phone")
    update_peer(laptop, route_all=True, by=BY)
    assert applied(hub) == "Anna / phone added; Anna / laptop changed"
    update_peer(laptop, enabled=False, by=BY)
    assert applied(hub) == "Anna / laptop shut out"
    update_peer(laptop, enabled=True, by=BY)
    assert applied(hub) == "Anna / laptop added"


def test_a_deleted_peer_is_named_still(hub: Instance, anna: Membership) -> None:
    laptop = make_client_peer(hub, anna, "laptop")
    apply_instance(str(hub.pk))
    delete_peer(laptop, by=BY)
    assert applied(hub) == "Anna / laptop removed"


def test_the_devices_of_who_is_deactivated_are_named(hub: Instance, anna: Membership) -> None:
    make_client_peer(hub, anna, "laptop")
    apply_instance(str(hub.pk))
    change_member(anna, active=False, by=BY)
    assert anna.__class__.objects.get(pk=anna.pk).state == MembershipState.DEACTIVATED
    assert applied(hub) == "Anna / laptop shut out"


def test_many_are_counted_after_the_first(hub: Instance, anna: Membership) -> None:
    for number in range(1, 6):
        make_client_peer(hub, anna, f"device {number}")
    assert applied(hub) == "Anna / device 1, Anna / device 2, Anna / device 3 and 2 more added"


def test_a_sites_subnets_name_the_site(hub: Instance) -> None:
    site = make_site(hub.organization, name="Berlin")
    make_site_peer(hub, site, ["10.1.0.0/24"])
    assert applied(hub) == "Berlin added"
    update_site(site, subnets=["10.1.0.0/24", "10.2.0.0/24"], by=BY)
    assert applied(hub) == "Berlin changed"


def test_rules_are_named(hub: Instance) -> None:
    update_instance(hub, firewall=[rule("Guests"), rule("Printers", port="9100", protocol="tcp")], by=BY)
    assert applied(hub) == "Rules “Guests” and “Printers” added"
    update_instance(hub, firewall=[rule("Guests", action="reject"), rule("", source="10.9.0.0/24")], by=BY)
    assert applied(hub) == "Rule 2 added; Rule “Guests” changed; Rule “Printers” removed"
    update_instance(hub, firewall=[rule("", source="10.9.0.0/24"), rule("Guests", action="reject")], by=BY)
    assert applied(hub) == "Order of the rules changed"
    update_instance(hub, firewall=[], firewall_policy="deny", by=BY)
    assert applied(hub) == "Rules 1 and “Guests” removed; policy between peers changed"
    update_instance(hub, firewall_policy="allow", by=BY)
    assert applied(hub) == "Policy between peers changed"


def test_rules_that_go_with_a_person_are_named(hub: Instance, anna: Membership) -> None:
    make_client_peer(hub, anna, "laptop")
    update_instance(hub, firewall=[rule("Guests"), rule("Anna alone", source=f"user:{anna.pk}")], by=BY)
    apply_instance(str(hub.pk))
    remove_member(anna, by=BY)
    assert applied(hub) == "Rule “Anna alone” removed; Anna / laptop removed"


def test_settings_are_named(hub: Instance, anna: Membership) -> None:
    make_client_peer(hub, anna, "laptop")
    update_instance(hub, mtu=1400, public_dns=["9.9.9.9"], by=BY)
    assert applied(hub) == "MTU and DNS servers changed; Anna / laptop added"


def test_several_changes_on_the_way_are_told_together(hub: Instance, anna: Membership) -> None:
    update_instance(hub, firewall=[rule("Guests")], by=BY)
    update_instance(hub, firewall=[rule("Guests"), rule("Printers", protocol="tcp")], by=BY)
    assert applied(hub) == "Rule “Guests” added; Rule “Printers” added"


def test_a_failed_operation_that_goes_on_tells_what_came_since(
    hub: Instance,
    anna: Membership,
    server: Server,
) -> None:
    def refuse(_report: object) -> Any:
        raise AgentError(errors.DISK_FULL, "The server's disk is full.")

    keep, server.answer = server.answer, refuse
    update_instance(hub, firewall=[rule("Guests")], by=BY)
    assert applied(hub) == "Rule “Guests” added"
    make_client_peer(hub, anna, "laptop")
    server.answer = keep
    assert applied(hub) == "Rule “Guests” added; Anna / laptop added"
    assert hub.operations.count() == 1


def test_long_names_fit(hub: Instance, anna: Membership) -> None:
    anna.user.name = "A" * 60
    anna.user.save()
    for number in range(4):
        make_client_peer(hub, anna, f"{'b' * 38}{number}")
    update_instance(
        hub, firewall=[rule("c" * 38 + str(number), port="1", protocol="tcp") for number in range(4)], by=BY
    )
    line = applied(hub)
    assert len(line) <= 200
    assert line.endswith("4 peers added") or " more added" in line


def test_names_are_shown_as_text(admin_browser: Client, hub: Instance, anna: Membership) -> None:
    anna.user.name = "<b>Anna</b>"
    anna.user.save()
    make_client_peer(hub, anna, "laptop")
    apply_instance(str(hub.pk))
    page = admin_browser.get(f"/instances/{hub.pk}/activity/").content.decode()
    assert "&lt;b&gt;Anna&lt;/b&gt; / laptop added" in page
    assert "<b>Anna" not in page


def test_lists_of_names() -> None:
    assert listed_names(["a"]) == "a"
    assert listed_names(["a", "b"]) == "a and b"
    assert listed_names(["a", "b", "c"]) == "a, b and c"
    assert listed_names(["a", "b", "c", "d"]) == "a, b, c and 1 more"
    assert listed_names(["a"], 2000, most=1) == "a and 1,999 more"
