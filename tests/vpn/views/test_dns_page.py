"""The DNS page: what the hub answers, whom it asks, and a table of records edited in place."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from portal.models import Membership, Organization
from tests.factories import BY, make_client_peer, make_instance, make_member, make_site, make_site_peer
from tests.visitor import forms_in
from vpn.actions.dns.settings import records_of
from vpn.actions.instances.settings import update_instance
from vpn.actions.peers.peer import delete_peer
from vpn.models import Instance, Peer

pytestmark = pytest.mark.django_db
HUB = "fra.vpn.example.net"
CORP = {"split_dns": ["10.1.0.53"], "domains": ["corp.example"]}


@pytest.fixture
def instance(organization: Organization, member: Membership) -> Instance:
    """A hub with a device and a site."""
    made = make_instance(organization, hostname="fra")
    make_client_peer(made, make_member(organization, name="Anna"), "laptop")
    make_site_peer(made, make_site(organization, name="Berlin"))
    return made


def path_of(instance: Instance) -> str:
    return f"/instances/{instance.pk}/dns/"


def rows(*records: tuple[str, str, str]) -> dict[str, str]:
    """The table's fields as a browser sends them."""
    fields = {"dns_custom-TOTAL_FORMS": str(len(records))}
    for number, record in enumerate(records):
        for name, value in zip(("name", "type", "value"), record, strict=True):
            fields[f"dns_custom-{number}-{name}"] = value
    return fields


def sent(browser: Client, instance: Instance, **fields: str) -> str:
    return browser.post(path_of(instance), fields, follow=True).content.decode()


def typed(page: str) -> list[tuple[str, ...]]:
    """What the table's fields hold; the row behind the form, which more rows are made of, is none of them."""
    form = page.partition("<template")[0]
    table = re.findall(r"<tr>\s*<td class=\"record__place\">.*?</tr>", form, re.DOTALL)
    return [
        (_input(row, "name"), re.findall(r'<option value="(\w+)" selected>', row)[0], _input(row, "value"))
        for row in table
    ]


def _input(row: str, name: str) -> str:
    tag = re.findall(rf'<input [^>]*name="dns_custom-\d+-{name}"[^>]*>', row)[0]
    found = re.search(r' value="([^"]*)"', tag)
    return found[1] if found else ""


def fields_of(page: str) -> dict[str, str]:
    """What a browser would send of the page's form."""
    return {key: values[0] for key, values in forms_in(page)[0].fields.items()}


def saved(instance: Instance) -> list[tuple[str, ...]]:
    return [tuple(record.values()) for record in records_of(Instance.objects.get(pk=instance.pk))]


def test_everything_is_saved_together(admin_browser: Client, instance: Instance) -> None:
    before = instance.desired_generation
    page = sent(
        admin_browser,
        instance,
        public_dns="1.1.1.1\r\n2606:4700:4700::1111",
        split_dns="10.1.0.53",
        domains="Corp.Example.",
        **rows(("nas", "A", "10.1.0.9"), ("wiki", "CNAME", "nas"), ("", "A", "")),
    )
    assert "Saved." in page
    instance.refresh_from_db()
    assert instance.public_dns == ["1.1.1.1", "2606:4700:4700::1111"]
    assert (instance.split_dns, instance.domains) == (["10.1.0.53"], ["corp.example"])
    assert saved(instance) == [(f"nas.{HUB}", "A", "10.1.0.9"), (f"wiki.{HUB}", "CNAME", f"nas.{HUB}")]
    assert instance.desired_generation > before
    assert typed(page) == [*saved(instance), ("", "A", "")]


def test_sending_the_page_back_changes_nothing(admin_browser: Client, instance: Instance) -> None:
    update_instance(instance, dns_custom=[{"name": "nas", "type": "A", "value": "10.1.0.9"}], by=BY, **CORP)
    before = Instance.objects.get(pk=instance.pk).desired_generation
    fields = {"public_dns": "9.9.9.9\n149.112.112.112", "split_dns": "10.1.0.53", "domains": "corp.example"}
    page = sent(admin_browser, instance, **fields, **rows((f"nas.{HUB}", "A", "10.1.0.9"), ("", "A", "")))
    assert "nothing changed" in page
    assert Instance.objects.get(pk=instance.pk).desired_generation == before


def test_a_field_that_is_not_sent_stays(admin_browser: Client, instance: Instance) -> None:
    update_instance(instance, dns_custom=[{"name": "nas", "type": "A", "value": "10.1.0.9"}], by=BY, **CORP)
    assert "Saved." in sent(admin_browser, instance, public_dns="1.1.1.1")
    instance.refresh_from_db()
    assert (instance.domains, len(saved(instance))) == (["corp.example"], 1)


def test_what_is_at_fault_is_said_beside_its_field_and_nothing_is_lost(
    admin_browser: Client, instance: Instance
) -> None:
    records = (("nas", "A", "10.1.0.9"), ("", "A", ""), ("berlin", "AAAA", "10.1.0.9"), ("x", "CNAME", "gone.example"))
    page = sent(admin_browser, instance, public_dns="", split_dns="", domains="*\nok.example", **rows(*records))
    for words in (
        "Name at least one server",
        "wildcards are not answered",
        "own name of a peer",
        "Choose A",
        "would resolve to nothing",
    ):
        assert words in page
    assert typed(page) == [*records, ("", "A", "")]
    assert ">\n*\nok.example</textarea>" in page
    for field in ("dns_custom-2-name", "dns_custom-2-value", "dns_custom-3-value"):
        assert re.search(rf'name="{field}"[^>]*aria-invalid="true"', page), field
        assert f'id="id_{field}_error"' in page
    assert 'aria-invalid="true"' not in page[: page.index('name="dns_custom-2-name"')].rpartition("<tr>")[0]
    assert saved(instance) == []


def test_half_of_split_dns_is_refused_beside_the_missing_half(admin_browser: Client, instance: Instance) -> None:
    page = sent(admin_browser, instance, public_dns="9.9.9.9", split_dns="10.1.0.53", domains="", **rows())
    assert "Name at least one domain" in page
    page = sent(admin_browser, instance, public_dns="9.9.9.9", split_dns="", domains="corp.example", **rows())
    assert "Name at least one server that answers these domains" in page


def test_rows_are_added_and_removed_without_javascript(admin_browser: Client, instance: Instance) -> None:
    records = (("nas", "A", "10.1.0.9"), ("half", "CNAME", ""))
    page = sent(admin_browser, instance, add="true", domains="typed.example", **rows(*records))
    assert typed(page) == [*records, ("", "A", "")]
    assert '<div class="notice" role="status" data-unsaved>' in page, "the notice is shown"
    shown = admin_browser.get(path_of(instance)).content.decode()
    assert "data-unsaved hidden>" in shown, "the notice waits"
    assert "typed.example" in page
    page = sent(admin_browser, instance, remove="0", **rows(*records))
    assert typed(page) == [records[1], ("", "A", "")]
    for nonsense in ("9", "-1", "x", "²"):
        assert len(typed(sent(admin_browser, instance, remove=nonsense, **rows(*records)))) == 3
    assert saved(instance) == []


def test_all_records_can_be_removed(admin_browser: Client, instance: Instance) -> None:
    update_instance(instance, dns_custom=[{"name": "nas", "type": "A", "value": "10.1.0.9"}], by=BY)
    assert "Saved." in sent(admin_browser, instance, **rows(("", "A", "")))
    assert saved(instance) == []


def test_names_of_peers_are_listed_and_searched(admin_browser: Client, instance: Instance) -> None:
    page = admin_browser.get(path_of(instance)).content.decode()
    assert f'laptop.anna<span class="muted">.{HUB}</span>' in page
    assert f'berlin<span class="muted">.{HUB}</span>' in page
    assert str(instance.network_v4[1]) in page
    assert str(instance.network_v6[1]) in page
    answer = admin_browser.get(path_of(instance), {"q": "laptop"}, headers={"HX-Request": "true", "HX-Target": "names"})
    found = answer.content.decode()
    assert "laptop.anna" in found
    assert "berlin" not in found
    assert "<form" not in found


def test_an_alias_whose_peer_is_gone_is_marked(admin_browser: Client, instance: Instance) -> None:
    update_instance(instance, dns_custom=[{"name": "desk", "type": "CNAME", "value": "laptop.anna"}], by=BY)
    assert "Not answered" not in admin_browser.get(path_of(instance)).content.decode()
    delete_peer(Peer.objects.select_related("instance").get(instance=instance, device="laptop"), by=BY)
    assert "Not answered" in admin_browser.get(path_of(instance)).content.decode()


def test_auditors_read_only(auditor_browser: Client, instance: Instance) -> None:
    update_instance(instance, dns_custom=[{"name": "nas", "type": "A", "value": "10.1.0.9"}], by=BY, **CORP)
    page = auditor_browser.get(path_of(instance)).content.decode()
    for words in (f"nas.{HUB}", "10.1.0.9", "corp.example", "10.1.0.53", "9.9.9.9", "laptop.anna"):
        assert words in page
    for word in ("Save</button>", "Add record", 'name="remove"', 'name="dns_custom-0-name"'):
        assert word not in page
    assert auditor_browser.post(path_of(instance), {"public_dns": "1.1.1.1"}).status_code == 403


def test_the_page_takes_the_same_few_queries_for_any_number_of_peers(
    admin_browser: Client, instance: Instance, organization: Organization
) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as counted:
            admin_browser.get(path_of(instance))
        return len(counted)

    before = queries()
    for number in range(5):
        make_client_peer(instance, make_member(organization), f"device {number}")
    assert queries() == before


def test_without_a_table_the_records_stay_and_are_shown(admin_browser: Client, instance: Instance) -> None:
    update_instance(instance, dns_custom=[{"name": "nas", "type": "A", "value": "10.1.0.9"}], by=BY)
    page = sent(admin_browser, instance, public_dns="nonsense")
    assert typed(page) == [(f"nas.{HUB}", "A", "10.1.0.9"), ("", "A", "")]
    assert "Saved." in sent(admin_browser, instance, public_dns="1.1.1.1")
    assert len(saved(instance)) == 1


@pytest.mark.parametrize(
    "other", [{"dns_custom": [{"name": "theirs", "type": "A", "value": "10.1.0.8"}]}, {"public_dns": ["1.0.0.1"]}]
)
def test_what_somebody_else_saved_meanwhile_is_not_lost_unseen(
    admin_browser: Client, instance: Instance, other: dict[str, Any]
) -> None:
    mine = fields_of(admin_browser.get(path_of(instance)).content.decode())
    mine |= {"dns_custom-0-name": "mine", "dns_custom-0-value": "10.1.0.9"}
    update_instance(instance, by=BY, **other)
    kept = saved(instance)
    more = fields_of(sent(admin_browser, instance, **mine, add="true"))
    for data in (more, mine):
        page = sent(admin_browser, instance, **data)
        assert "Another user changed this meanwhile" in page
        assert typed(page)[0] == ("mine", "A", "10.1.0.9")
        assert saved(instance) == kept
    assert "Saved." in sent(admin_browser, instance, **fields_of(page))
    assert saved(instance) == [(f"mine.{HUB}", "A", "10.1.0.9")]
