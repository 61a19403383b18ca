"""Management of routers from headquarters: saved, refused, sent to the hub, planned, tried, taken back, forgotten."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from portal.actions.group import change_group, create_group, delete_group
from portal.exceptions import Conflict, InvalidInput, NotPossible
from portal.models import Group, JournalEntry, Membership, Organization
from tests.factories import BY, make_client_peer, make_instance, make_site, make_site_peer, settle
from tests.vpn.desired.confirming import confirm, sent_whole
from tests.vpn.planned import planned
from vpn.actions.instances.settings import update_instance
from vpn.actions.instances.trial import return_change
from vpn.actions.peers.peer import create_site_peer
from vpn.actions.revisions.returning import return_to
from vpn.actions.sites.site import delete_site
from vpn.choices import InstanceState, ProfileState
from vpn.desired import compile_change, compile_spec
from vpn.models import Instance, Peer, Revision, Server, Site
from vpn.presenters.revisions import sections_of
from vpn.profiles.state import current_digest, profile_states
from vpn.reach.first_packet import Reach
from vpn.wire.delta import parse_delta
from vpn.wire.spec import HubSpec, parse_spec

pytestmark = pytest.mark.both_databases

OFF: dict[str, Any] = {"management_services": [], "management_sources": []}


@pytest.fixture
def hub(organization: Organization, member: Membership) -> Instance:
    """An instance that lets nobody reach another, with headquarters, a branch and a device."""
    made = make_instance(organization)
    for name, subnet in (("Headquarters", "10.1.0.0/24"), ("Branch", "10.2.0.0/24")):
        make_site_peer(made, make_site(organization, name=name), [subnet])
    make_client_peer(made, member)
    update_instance(made, firewall_policy="deny", by=BY)
    return settle(made)


@pytest.fixture
def headquarters(hub: Instance) -> Site:
    return Site.objects.get(name="Headquarters")


@pytest.fixture
def group(organization: Organization, member: Membership) -> Group:
    return create_group(organization, name="Operations", members=[member.pk], by=BY)


def let(hub: Instance, *sources: str, services: tuple[str, ...] = ("ssh",), **more: Any) -> Instance:
    """Let these manage the routers."""
    hub = Instance.objects.get(pk=hub.pk)
    wanted = {"management_services": list(services), "management_sources": list(sources), **more}
    return update_instance(hub, by=BY, **wanted)


def spec_of(hub: Instance) -> HubSpec:
    return parse_spec(compile_spec(hub.pk).document)


def address_of(hub: Instance, **which: Any) -> str:
    return hub.peers.get(**which).addresses[0].compressed


def test_it_is_off_and_changes_no_spec(hub: Instance) -> None:
    assert (hub.management_services, hub.management_sources) == ([], [])
    assert spec_of(hub).rules == ()
    assert not any(peer.tags for peer in spec_of(hub).peers.values())


def test_the_rules_come_first_and_name_the_routers_own_addresses(
    hub: Instance, headquarters: Site, group: Group
) -> None:
    end = f"site:{headquarters.pk}"
    let(hub, end, f"group:{group.pk}", services=("snmp", "ssh"), firewall=[{"name": "no", "action": "drop"}])
    rules = spec_of(hub).rules
    assert [(rule.action, rule.protocol, rule.ports, rule.source, rule.destination) for rule in rules] == [
        ("accept", "tcp", (22, 22), end, "routers"),
        ("accept", "udp", (161, 161), end, "routers"),
        ("accept", "tcp", (22, 22), f"group:{group.pk}", "routers"),
        ("accept", "udp", (161, 161), f"group:{group.pk}", "routers"),
        ("drop", "tcp", (22, 22), "any", "routers"),
        ("drop", "udp", (161, 161), "any", "routers"),
        ("drop", "any", None, "any", "any"),
    ]
    reach = Reach(spec_of(hub))
    branch, device = address_of(hub, site__name="Branch"), address_of(hub, type="client")
    assert reach.passes("10.1.0.9", branch, "tcp", 22)
    assert reach.passes(device, branch, "udp", 161)
    assert not reach.passes("10.1.0.9", branch, "tcp", 443)
    assert not reach.passes("10.1.0.9", "10.2.0.9", "tcp", 22)
    assert not reach.passes("10.2.0.9", address_of(hub, site__name="Headquarters"), "tcp", 22)


def test_nobody_else_reaches_them_where_peers_may_reach_each_other(
    hub: Instance, headquarters: Site, group: Group
) -> None:
    update_instance(hub, firewall_policy="allow", by=BY)
    branch, device = address_of(hub, site__name="Branch"), address_of(hub, type="client")
    assert Reach(spec_of(hub)).passes("10.1.0.9", branch, "tcp", 22)
    # The router accepts the whole pool for a group: the hub has to tell who of it may pass.
    let(hub, f"group:{group.pk}")
    reach = Reach(spec_of(hub))
    assert reach.passes(device, branch, "tcp", 22)
    assert not reach.passes("10.1.0.9", branch, "tcp", 22)
    assert reach.passes("10.1.0.9", branch, "tcp", 443)
    assert reach.passes("10.1.0.9", "10.2.0.9", "tcp", 22)


def test_it_travels_as_a_delta_with_the_tags_of_routers(hub: Instance, headquarters: Site) -> None:
    end = f"site:{headquarters.pk}"
    sent_whole(hub)
    let(hub, end)
    change = compile_change(hub.pk)
    assert change.is_delta
    parse_delta(change.document)
    tags = {key: peer.get("tags", []) for key, peer in change.document["upsert"].items()}
    own, branch = hub.peers.get(site=headquarters), hub.peers.get(site__name="Branch")
    assert tags == {str(own.pk): ["routers", end], str(branch.pk): ["routers"]}
    confirm(hub, change)
    let(hub, services=())
    change = compile_change(hub.pk)
    assert not change.document["rules"]
    assert {key: peer.get("tags", []) for key, peer in change.document["upsert"].items()} == {key: [] for key in tags}


def test_a_new_site_is_managed_at_once(hub: Instance, headquarters: Site, organization: Organization) -> None:
    let(hub, f"site:{headquarters.pk}")
    sent_whole(Instance.objects.get(pk=hub.pk))
    made = create_site_peer(hub, site=make_site(organization, name="New"), subnets=["10.3.0.0/24"], by=BY)
    assert compile_change(hub.pk).document["upsert"][str(made.pk)]["tags"] == ["routers"]


@pytest.mark.parametrize(
    ("changes", "field", "said"),
    [
        ({"management_services": ["telnet"], "management_sources": ["HQ"]}, "management_services", "Choose one of ssh"),
        ({"management_services": ["ssh"]}, "management_sources", "at least one site or group"),
        ({"management_sources": ["HQ"]}, "management_services", "at least one service"),
        ({"management_services": ["ssh"], "management_sources": ["any"]}, "management_sources", "no site or group"),
        ({"management_services": ["ssh"], "management_sources": ["10.0.0.0/8"]}, "management_sources", "no site or"),
        ({"management_services": ["ssh"], "management_sources": ["site:x"]}, "management_sources", "no site or group"),
        (
            {"management_services": ["ssh"], "management_sources": [f"site:{uuid4()}"]},
            "management_sources",
            "no site or group",
        ),
        ({"management_services": ["ssh"], "management_sources": ["HQ"] * 2 + ["x"] * 30}, "management_sources", "no"),
    ],
)
def test_what_cannot_be_is_refused(
    hub: Instance, headquarters: Site, changes: dict[str, list[str]], field: str, said: str
) -> None:
    given = {
        name: [f"site:{headquarters.pk}" if value == "HQ" else value for value in values]
        for name, values in changes.items()
    }
    with pytest.raises(InvalidInput) as refused:
        update_instance(hub, by=BY, **given)
    assert said in refused.value.errors[field][0]
    hub.refresh_from_db()
    assert (hub.management_services, hub.management_sources) == ([], [])


def test_another_organizations_site_cannot_be_named(hub: Instance, other_organization: Organization) -> None:
    with pytest.raises(InvalidInput):
        let(hub, f"site:{make_site(other_organization).pk}")


def test_an_agent_that_does_not_know_these_rules_is_named(hub: Instance, headquarters: Site) -> None:
    Server.objects.update(agent_features=["trial"])
    with pytest.raises(NotPossible) as refused:
        let(hub, f"site:{headquarters.pk}")
    assert refused.value.code == "agent-too-old"


def test_the_same_again_is_no_change(hub: Instance, headquarters: Site) -> None:
    let(hub, f"site:{headquarters.pk}", services=("https", "ssh"))
    before = Instance.objects.get(pk=hub.pk).desired_generation
    let(hub, f"site:{headquarters.pk}", services=("ssh", "https"))
    assert Instance.objects.get(pk=hub.pk).desired_generation == before


def test_the_plan_says_who_reaches_routers_and_whose_files_change(hub: Instance, headquarters: Site) -> None:
    Peer.objects.update(delivered_digest="")
    for peer in hub.peers.select_related("site", "member__user", "instance__server"):
        Peer.objects.filter(pk=peer.pk).update(delivered_digest=current_digest(peer))
    plan = planned(lambda: let(hub, f"site:{headquarters.pk}"))
    own, branch = hub.peers.get(site=headquarters), hub.peers.get(site__name="Branch")
    known = hub.own_networks(branch.host)
    assert {(line.source, line.destination) for line in plan.reachability} == {
        (f"site:{headquarters.pk}", network) for network in known
    }
    assert {line[2:] for line in plan.reachability} == {("tcp", "22", False, True)}
    assert plan.outdated == [branch.pk] != [own.pk]
    web = {"protocol": "tcp", "port": "443", "source": f"site:{headquarters.pk}"}
    plan = planned(lambda: let(hub, f"site:{headquarters.pk}", firewall=[web, web]))
    assert plan.idle_rules == [2]
    let(hub, f"site:{headquarters.pk}")
    hub = Instance.objects.select_related("server").get(pk=hub.pk)
    peers = list(hub.peers.select_related("site", "member__user"))
    states = profile_states(hub, peers)
    assert {peer.site.name: states[peer.pk] for peer in peers if peer.site is not None} == {
        # Nobody else manages headquarters' own router.
        "Headquarters": ProfileState.CURRENT,
        "Branch": ProfileState.OUTDATED,
    }
    assert {states[peer.pk] for peer in peers if peer.site is None} == {ProfileState.CURRENT}


def test_the_journal_says_what_changed(hub: Instance, headquarters: Site) -> None:
    let(hub, f"site:{headquarters.pk}")
    line = JournalEntry.objects.filter(code="instance.settings_changed").latest("id")
    assert line.changes["management_services"] == [[], ["ssh"]]
    assert line.changes["management_sources"] == [[], [f"site:{headquarters.pk}"]]


def test_it_can_be_tried_and_taken_back(hub: Instance, headquarters: Site, group: Group) -> None:
    let(hub, f"group:{group.pk}")
    Server.objects.update(agent_features=["trial", "router-tag"])
    settle(hub)
    let(hub, f"site:{headquarters.pk}", services=("ssh", "https"), confirm_within=120)
    trial = compile_spec(hub.pk).document["trial"]
    assert [rule["source"] for rule in trial["former"]["rules"]] == [f"group:{group.pk}", "any"]
    # The device keeps its tag for the former rules.
    device = hub.peers.get(type="client")
    assert f"group:{group.pk}" in compile_spec(hub.pk).document["peers"][str(device.pk)]["tags"]
    with pytest.raises(NotPossible):
        update_instance(hub, by=BY, **OFF)
    saved = return_change(hub, by=BY)
    assert (saved.management_services, saved.management_sources) == (["ssh"], [f"group:{group.pk}"])


def test_a_revision_returns_it(hub: Instance, headquarters: Site, group: Group) -> None:
    let(hub, f"site:{headquarters.pk}", f"group:{group.pk}", services=("ssh", "winbox"))
    there = Revision.objects.filter(instance=hub).latest("number")
    update_instance(Instance.objects.get(pk=hub.pk), by=BY, **OFF)
    off = Revision.objects.filter(instance=hub).latest("number")
    assert off.number == there.number + 1
    both = [Revision.objects.with_parts().get(pk=one.pk) for one in (there, off)]
    lines = [line for section in sections_of(*both) for line in section.lines if "routers" in line.label]
    assert [(line.before, line.after) for line in lines] == [
        (["SSH", "WinBox"], []),
        (["Headquarters (site)", "Operations (group)"], []),
    ]
    delete_group(group, by=BY)
    left_out: list[str] = []
    return_to(hub, Revision.objects.with_parts().get(pk=there.pk), by=BY, left_out=left_out)
    hub.refresh_from_db()
    assert hub.management_services == ["ssh", "winbox"]
    assert hub.management_sources == [f"site:{headquarters.pk}"]
    assert any("managed routers" in sentence for sentence in left_out)


def test_a_group_that_manages_cannot_be_deleted(hub: Instance, group: Group) -> None:
    let(hub, f"group:{group.pk}")
    with pytest.raises(Conflict, match="may manage routers of") as refused:
        delete_group(group, by=BY)
    assert refused.value.code == "group-in-use"
    update_instance(Instance.objects.get(pk=hub.pk), by=BY, **OFF)
    delete_group(group, by=BY)


def test_who_joins_a_group_manages_routers(hub: Instance, group: Group, member: Membership) -> None:
    change_group(group, members=[], by=BY)
    let(hub, f"group:{group.pk}")
    sent_whole(Instance.objects.get(pk=hub.pk))
    change_group(group, members=[member.pk], by=BY)
    device = hub.peers.get(type="client")
    assert compile_change(hub.pk).document["upsert"][str(device.pk)]["tags"] == [f"group:{group.pk}"]


@pytest.mark.parametrize("state", [InstanceState.READY, InstanceState.LOST])
def test_a_deleted_site_manages_nothing(hub: Instance, headquarters: Site, state: InstanceState) -> None:
    let(hub, f"site:{headquarters.pk}")
    hub.peers.filter(site=headquarters).delete()
    Instance.objects.filter(pk=hub.pk).update(state=state)
    delete_site(headquarters, by=BY)
    hub.refresh_from_db()
    assert (hub.management_services, hub.management_sources) == ([], [])
    if state == InstanceState.READY:
        assert spec_of(hub).rules == ()
    newest = Revision.objects.filter(instance=hub).latest("number")
    assert "management_sources" not in newest.settings
