"""Each change of settings, rules, records and routes is a revision, in its transaction; nothing else is one."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from portal.actions.group import create_group
from portal.actions.member import remove_member
from portal.exceptions import InvalidInput
from portal.models import JournalEntry, Membership, Organization
from tests.factories import BY, make_client_peer, make_instance, make_member, make_site, make_site_peer
from tests.revising import forget_revisions, unrecorded
from vpn.actions.activity.planning import preview
from vpn.actions.instances.settings import update_instance
from vpn.actions.peers.peer import create_client_peer, create_site_peer, delete_peer, update_peer
from vpn.actions.revisions.notes import noted
from vpn.actions.sites.site import delete_site, update_site
from vpn.choices import InstanceState
from vpn.models import DnsRecord, FirewallRule, Instance, Peer, Revision, RevisionPart, Site
from vpn.models.revised import WithoutRevision
from vpn.models.revision import RevisionFixed
from vpn.revisions.sections import document_of

pytestmark = pytest.mark.django_db


def newest(instance: Instance) -> Revision:
    return Revision.objects.with_parts().filter(instance=instance)[0]


def line_of(revision: Revision) -> JournalEntry:
    assert revision.line is not None
    return JournalEntry.objects.get(pk=revision.line)


def numbers(instance: Instance) -> list[int]:
    return [one.number for one in instance.revisions.order_by("number")]


def test_a_change_is_a_revision_with_author_note_and_the_journals_line(instance: Instance, admin: Membership) -> None:
    with noted("  the ISP changed\nits line "):
        update_instance(instance, mtu=1300, public_dns=["1.1.1.1"], by=admin.principal)
    made = newest(instance)
    assert (made.number, made.actor, made.note) == (4, admin.principal, "the ISP changed its line")
    assert made.words == ["MTU and DNS servers changed"]
    line = line_of(made)
    assert (line.code, line.actor_id) == ("instance.settings_changed", str(admin.pk))
    assert document_of(made).settings["mtu"] == 1300


def test_the_name_alone_is_a_revision(instance: Instance) -> None:
    update_instance(instance, name="Renamed", by=BY)
    assert (newest(instance).words, numbers(instance)) == (["Name changed"], [1, 2, 3, 4])


def test_rules_are_kept_with_the_names_of_what_they_name(
    instance: Instance, organization: Organization, berlin: Site
) -> None:
    group = create_group(organization, name="Sales", by=BY)
    rule = {"name": "web", "source": f"group:{group.pk}", "destination": f"site:{berlin.pk}"}
    update_instance(instance, firewall=[rule], by=BY)
    document = document_of(newest(instance))
    assert [one.source for one in document.rules] == [f"group:{group.pk}"]
    assert document.names[f"group:{group.pk}"] == "Sales"
    assert newest(instance).words == ["Rule “web” added"]


def test_parts_that_did_not_change_are_shared(instance: Instance) -> None:
    update_instance(instance, firewall=[{"name": "web"}], by=BY)
    first = newest(instance)
    update_instance(instance, dns_custom=[{"name": "nas", "type": "A", "value": "10.1.0.9"}], by=BY)
    second = newest(instance)
    assert (second.rules_id, second.sites_id) == (first.rules_id, first.sites_id)
    assert (first.records_id, second.words) == (None, ["DNS records changed"])
    parts = RevisionPart.objects.count()
    update_instance(instance, mtu=1300, by=BY)
    assert RevisionPart.objects.count() == parts


def test_what_is_connected_and_what_it_advertises_is_recorded(
    instance: Instance, organization: Organization, berlin: Site
) -> None:
    other = make_instance(organization, name="Oslo hub")
    make_site_peer(other, berlin, subnets=["10.1.0.0/24"])
    with noted("a second floor"):
        update_site(berlin, subnets=["10.1.0.0/24", "10.1.9.0/24"], by=BY)
    for one in (instance, other):
        made = newest(one)
        assert (made.words, made.note) == (["Subnets of Berlin changed"], "a second floor")
        assert document_of(made).sites[str(berlin.pk)] == ["10.1.0.0/24", "10.1.9.0/24"]
    assert line_of(newest(instance)).code == "site.changed"
    delete_peer(other.peers.get(), by=BY)
    assert newest(other).words == ["Berlin disconnected"]
    assert line_of(newest(other)).code == "peer.deleted"


def test_a_peer_that_changes_its_own_subnets_is_one_revision(instance: Instance, berlin: Site) -> None:
    update_peer(instance.peers.get(site=berlin), subnets=["10.1.7.0/24"], by=BY)
    assert (numbers(instance), newest(instance).words) == ([1, 2, 3, 4], ["Subnets of Berlin changed"])


def test_rules_that_go_with_a_site_or_a_member_are_recorded(instance: Instance, organization: Organization) -> None:
    site, person = make_site(organization, name="Old"), make_member(organization, name="Ben")
    rules = [{"name": "old", "source": f"site:{site.pk}"}, {"name": "ben", "source": f"user:{person.pk}"}]
    update_instance(instance, firewall=rules, by=BY)
    delete_site(site, by=BY)
    assert newest(instance).words == ["Rule “old” removed"]
    assert line_of(newest(instance)).code == "site.deleted"
    remove_member(person, by=BY)
    assert newest(instance).words == ["Rule “ben” removed"]


def test_rules_that_go_from_a_lost_hub_are_recorded_too(instance: Instance, organization: Organization) -> None:
    site = make_site(organization, name="Old")
    update_instance(instance, firewall=[{"name": "old", "source": f"site:{site.pk}"}], by=BY)
    Instance.objects.filter(pk=instance.pk).update(state=InstanceState.LOST)
    delete_site(site, by=BY)
    assert newest(instance).words == ["Rule “old” removed"]


def test_a_record_that_follows_a_renamed_device_is_recorded(instance: Instance, admin: Membership) -> None:
    peer = make_client_peer(instance, admin, "laptop")
    target = f"laptop.{admin.slug}.{instance.full_hostname}"
    update_instance(instance, dns_custom=[{"name": "desk", "type": "CNAME", "value": target}], by=BY)
    before = numbers(instance)
    update_peer(peer, device="notebook", by=BY)
    assert document_of(newest(instance)).records[0][2].startswith("notebook.")
    assert len(numbers(instance)) == len(before) + 1


def test_an_instance_from_before_revisions_gets_the_former_state_as_its_first_one(
    instance: Instance, admin: Membership
) -> None:
    forget_revisions()
    update_instance(instance, firewall=[{"name": "web"}], mtu=1300, by=admin.principal)
    first, second = Revision.objects.with_parts().filter(instance=instance).order_by("number")
    assert (document_of(first).settings["mtu"], document_of(first).rules) == (1328, [])
    assert len(document_of(first).sites) == 2
    assert first.actor.reason == "the state before the first recorded change"
    assert (second.actor, document_of(second).settings["mtu"]) == (admin.principal, 1300)


def test_equal_values_and_previews_make_none(instance: Instance, berlin: Site) -> None:
    update_instance(instance, mtu=instance.mtu, firewall=[], by=BY)
    preview(lambda: update_instance(instance, mtu=1300, firewall=[{"name": "web"}], by=BY))
    preview(lambda: update_site(berlin, subnets=["10.1.9.0/24"], by=BY))
    update_peer(instance.peers.get(site=berlin), enabled=False, by=BY)
    assert numbers(instance) == [1, 2, 3]


def test_a_device_makes_none_and_costs_no_query(instance: Instance, admin: Membership) -> None:
    with CaptureQueriesContext(connection) as queries:
        peer = create_client_peer(instance, member=admin, device="laptop", by=BY)
        update_peer(peer, device="notebook", by=BY)
        delete_peer(peer, by=BY)
    assert not [one["sql"] for one in queries if "vpn_revision" in one["sql"]]
    assert numbers(instance) == [1, 2, 3]


def test_a_site_costs_a_few_queries_however_many_there_are(instance: Instance, organization: Organization) -> None:
    counts = []
    for number in range(20):
        site = make_site(organization, name=f"Branch {number}")
        with CaptureQueriesContext(connection) as queries:
            create_site_peer(instance, site=site, subnets=[f"10.9.{number}.0/24"], by=BY)
        counts.append(len([one for one in queries if "vpn_revision" in one["sql"]]))
    assert counts == [4] * 20, "the newest one, the former sites for its words, the new part, the revision"


def test_rows_of_a_section_cannot_be_written_without_one(instance: Instance, berlin: Site) -> None:
    """Whatever an action does: it fails where no revision is recorded."""
    update_instance(
        instance, firewall=[{"name": "web"}], dns_custom=[{"name": "nas", "type": "A", "value": "10.1.0.9"}], by=BY
    )
    rule, record, peer = FirewallRule.objects.get(), DnsRecord.objects.get(), instance.peers.get(site=berlin)
    peer.subnets = ["10.1.9.0/24"]
    for write in (
        rule.save,
        rule.delete,
        record.save,
        record.delete,
        peer.save,
        peer.delete,
        FirewallRule.objects.all().delete,
        lambda: FirewallRule.objects.update(action="drop"),
        lambda: FirewallRule.objects.create(instance=instance, position=1),
        lambda: instance.firewall_rules.bulk_create([FirewallRule(instance=instance, position=1)]),
        lambda: DnsRecord.objects.filter(pk=record.pk).update(value="10.1.0.8"),
        lambda: Peer.objects.filter(pk=peer.pk).update(subnets=[]),
    ):
        with pytest.raises(WithoutRevision):
            write()
    assert unrecorded(Instance.objects.filter(pk=instance.pk)) == []


def test_a_column_that_is_changed_without_one_is_found_by_the_walk(instance: Instance) -> None:
    """tests/test_access_walk.py asks this after each page and call."""
    instance.mtu = 1300
    instance.save()
    assert unrecorded(Instance.objects.filter(pk=instance.pk)) == [instance.name]


def test_a_revision_never_changes(instance: Instance) -> None:
    made = newest(instance)
    made.note = "another"
    for write in (made.save, made.delete, Revision.objects.all().delete, lambda: Revision.objects.update(note="")):
        with pytest.raises(RevisionFixed):
            write()
    instance.delete()
    assert not RevisionPart.objects.exists()


@pytest.mark.parametrize("note", ["x" * 201, "a bell \x07"])
def test_a_note_is_one_line_of_200_characters(note: str, instance: Instance) -> None:
    with pytest.raises(InvalidInput, match="at most 200"), noted(note):
        update_instance(instance, mtu=1300, by=BY)
    assert numbers(instance) == [1, 2, 3]
