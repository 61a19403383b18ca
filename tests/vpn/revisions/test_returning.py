"""Returning to a revision: all of it, or nothing where it conflicts; what is gone is left out and named."""

from __future__ import annotations

import pytest

from portal.actions.group import create_group, delete_group
from portal.exceptions import Conflict, NotPossible
from portal.models import JournalEntry, Membership, Organization
from tests.factories import BY, make_client_peer, make_instance, make_site, make_site_peer, settle
from tests.revising import unrecorded
from tests.vpn.planned import planned
from vpn.actions.instances.settings import update_instance
from vpn.actions.peers.peer import create_site_peer, delete_peer, update_peer
from vpn.actions.profiles.profile import deliver_profile
from vpn.actions.revisions.notes import noted
from vpn.actions.revisions.returning import return_to
from vpn.actions.sites.site import update_site
from vpn.models import Instance, Revision, Site
from vpn.revisions.sections import document_of

pytestmark = pytest.mark.django_db


def numbered(instance: Instance, number: int) -> Revision:
    return Revision.objects.with_parts().get(instance=instance, number=number)


def back(instance: Instance, number: int, seen: int | None = None) -> list[str]:
    """What was left out."""
    left_out: list[str] = []
    return_to(instance, numbered(instance, number), by=BY, seen=seen, left_out=left_out)
    return left_out


@pytest.fixture
def changed(instance: Instance, berlin: Site) -> Instance:
    """Revision 4 has a rule, a record, a pushed route and other servers; later ones change all of it."""
    update_instance(
        instance,
        name="Former",
        mtu=1300,
        public_dns=["1.1.1.1"],
        pushed_routes=["198.51.100.0/24"],
        firewall_policy="deny",
        firewall=[{"name": "web", "protocol": "tcp", "port": "443"}],
        dns_custom=[{"name": "nas", "type": "A", "value": "10.1.0.9"}],
        by=BY,
    )
    update_instance(
        instance, name="Now", mtu=1328, public_dns=["9.9.9.9"], pushed_routes=[], firewall_policy="allow", by=BY
    )
    update_instance(instance, firewall=[], dns_custom=[], by=BY)
    update_site(berlin, subnets=["10.1.0.0/24", "10.1.5.0/24"], by=BY)
    instance.refresh_from_db()
    return instance


def test_everything_is_what_it_was_and_that_is_one_revision(changed: Instance, admin: Membership) -> None:
    with noted("too slow"):
        saved = return_to(changed, numbered(changed, 4), by=admin.principal, seen=7)
    made = Revision.objects.with_parts().filter(instance=changed)[0]
    assert (made.number, made.returned_to, made.note, made.actor) == (8, 4, "too slow", admin.principal)
    former, present = document_of(numbered(changed, 4)), document_of(made)
    assert (present.settings, present.rules, present.records, present.sites) == (
        former.settings,
        former.rules,
        former.records,
        former.sites,
    )
    assert (saved.name, saved.mtu, saved.firewall_policy) == ("Former", 1300, "deny")
    assert unrecorded(Instance.objects.filter(pk=changed.pk)) == []
    line = JournalEntry.objects.get(pk=made.line or "")
    assert (line.code, line.details["revision"]) == ("instance.returned", 4)


def test_its_plan_says_what_is_lost_and_which_profiles_become_outdated(changed: Instance, admin: Membership) -> None:
    peer = make_client_peer(changed, admin, "laptop")
    settle(changed)
    deliver_profile(peer, by=BY)
    plan = planned(lambda: back(changed, 4))
    assert plan.outdated == [peer.pk]
    assert {line.after for line in plan.reachability} == {False}
    assert Revision.objects.filter(instance=changed).count() == 7


def test_a_revision_made_meanwhile_is_not_overwritten(changed: Instance) -> None:
    with pytest.raises(NotPossible, match="Another user changed this meanwhile"):
        back(changed, 4, seen=6)
    assert Revision.objects.filter(instance=changed).count() == 7


def test_the_present_state_is_nothing_to_return_to(changed: Instance) -> None:
    with pytest.raises(NotPossible, match="Nothing differs"):
        back(changed, 7)


def test_what_does_not_exist_any_more_is_left_out_and_named(instance: Instance, organization: Organization) -> None:
    group, old = create_group(organization, name="Sales", by=BY), make_site(organization, name="Old")
    peer, hub = create_site_peer(instance, site=old, subnets=["10.7.0.0/24"], by=BY), instance.full_hostname
    update_instance(
        instance,
        mtu=1300,
        pushed_routes=["10.7.0.0/24"],
        firewall=[{"name": "sales", "source": f"group:{group.pk}"}, {"name": "web", "port": "443", "protocol": "tcp"}],
        dns_custom=[
            {"name": "old-nas", "type": "CNAME", "value": f"old.{instance.full_hostname}"},
            {"name": "alias", "type": "CNAME", "value": f"old-nas.{instance.full_hostname}"},
            {"name": "nas", "type": "A", "value": "10.1.0.9"},
        ],
        by=BY,
    )
    number = Revision.objects.filter(instance=instance)[0].number
    update_instance(instance, mtu=1328, pushed_routes=[], firewall=[], dns_custom=[], by=BY)
    delete_group(group, by=BY)
    delete_peer(peer, by=BY)
    new = make_site(organization, name="New")
    create_site_peer(instance, site=new, subnets=["10.8.0.0/24"], by=BY)
    assert back(instance, number) == [
        "Old is not connected any more: its subnets are left out.",
        "New was connected later: it keeps its subnets.",
        "The pushed route 10.7.0.0/24 is left out: no site advertises it any more.",
        "Rule 1 “sales” is left out: the group Sales does not exist any more.",
        f"The record old-nas.{hub} is left out: old.{hub}, to which it points, does not exist any more.",
        f"The record alias.{hub} is left out: old-nas.{hub}, to which it points, does not exist any more.",
    ]
    instance.refresh_from_db()
    assert (instance.mtu, [rule.name for rule in instance.firewall_rules.all()]) == (1300, ["web"])
    assert [record.name for record in instance.dns_records.all()] == [f"nas.{instance.full_hostname}"]


def test_a_subnet_that_another_site_took_meanwhile_is_refused_and_nothing_changes(
    instance: Instance, organization: Organization, berlin: Site
) -> None:
    update_instance(instance, mtu=1300, by=BY)
    update_site(berlin, subnets=["10.1.9.0/24"], by=BY)
    create_site_peer(instance, site=make_site(organization, name="Rome"), subnets=["10.1.0.0/24"], by=BY)
    with pytest.raises(Conflict, match=r"Berlin: 10\.1\.0\.0/24"):
        back(instance, 2)
    instance.refresh_from_db()
    berlin.refresh_from_db()
    assert (instance.mtu, berlin.subnets) == (1300, ["10.1.9.0/24"])


def test_a_part_of_a_subnet_that_another_site_took_meanwhile_is_refused_too(
    instance: Instance, organization: Organization, berlin: Site
) -> None:
    update_site(berlin, subnets=["10.1.9.0/24"], by=BY)
    create_site_peer(instance, site=make_site(organization, name="Rome"), subnets=["10.1.0.128/25"], by=BY)
    with pytest.raises(Conflict, match=r"Berlin: .* overlap 10\.1\.0\.128/25 of the site Rome"):
        back(instance, 3)


def test_ranges_that_were_nested_in_the_revision_are_nested_again(
    instance: Instance, organization: Organization, berlin: Site
) -> None:
    rome = make_site(organization, name="Rome")
    create_site_peer(instance, site=rome, subnets=["10.1.0.128/25"], confirm_broad_routes=True, by=BY)
    number = Revision.objects.filter(instance=instance)[0].number
    update_site(rome, subnets=["10.7.0.0/24"], by=BY)
    update_site(berlin, subnets=["10.1.9.0/24"], by=BY)
    assert back(instance, number) == []
    berlin.refresh_from_db()
    assert berlin.subnets == ["10.1.0.0/24"]


def test_two_sites_get_back_what_each_gave_to_the_other(instance: Instance, berlin: Site) -> None:
    paris = Site.objects.get(name="Paris")
    update_site(berlin, subnets=["10.1.0.0/24", "10.3.0.0/24"], by=BY)
    number = Revision.objects.filter(instance=instance)[0].number
    update_site(berlin, subnets=["10.1.0.0/24"], by=BY)
    update_site(paris, subnets=["10.2.0.0/24", "10.3.0.0/24"], by=BY)
    assert back(instance, number) == []
    paris.refresh_from_db()
    berlin.refresh_from_db()
    assert (berlin.subnets, paris.subnets) == (["10.1.0.0/24", "10.3.0.0/24"], ["10.2.0.0/24"])


def test_other_instances_of_a_site_follow_with_a_revision_of_their_own(
    instance: Instance, organization: Organization, berlin: Site
) -> None:
    other = make_instance(organization, name="Oslo hub")
    make_site_peer(other, berlin, subnets=["10.1.0.0/24"])
    update_site(berlin, subnets=["10.1.0.0/24", "10.1.9.0/24"], by=BY)
    before = other.revisions.count()
    back(instance, 3)
    assert other.peers.get().subnets == ["10.1.0.0/24"]
    assert other.revisions.count() == before + 1
    assert other.revisions.all()[0].returned_to is None


def test_a_pool_is_not_made_narrower(instance: Instance) -> None:
    former = instance.pool_v4
    update_instance(instance, mtu=1300, pool=str(instance.network_v4.supernet()), by=BY)
    instance.refresh_from_db()
    assert back(instance, 3) == [f"The pool stays {instance.pool_v4}: it cannot be made narrower."]
    instance.refresh_from_db()
    assert (instance.mtu, instance.pool_v4 == former) == (1328, False)


def test_a_name_that_a_device_took_meanwhile_is_refused(changed: Instance, organization: Organization) -> None:
    site = make_site(organization, name="nas")
    make_site_peer(changed, site, subnets=["10.77.0.0/24"])
    with pytest.raises(Exception, match="own name of a peer"):
        back(changed, 4)
    changed.refresh_from_db()
    assert changed.mtu == 1328


def test_a_part_of_a_sites_subnets_comes_back_as_the_part_that_it_was(
    instance: Instance, organization: Organization, berlin: Site
) -> None:
    other = make_instance(organization, name="Oslo hub")
    make_site_peer(other, berlin, subnets=["10.1.0.0/24"])
    peer = instance.peers.select_related("instance", "site").get(site=berlin)
    update_site(berlin, subnets=["10.1.0.0/24", "10.1.9.0/24"], by=BY)
    update_peer(peer, subnets=["10.1.9.0/24"], by=BY)
    back(instance, 3)
    peer.refresh_from_db()
    assert peer.subnets == ["10.1.0.0/24"]
