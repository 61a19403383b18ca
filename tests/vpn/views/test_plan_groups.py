"""Differences of reach by groups of the same fate: counts first, every group complete."""

from __future__ import annotations

import re
import uuid
from typing import Any

import pytest
from django.test import Client

from portal.models import Organization
from tests.factories import make_instance, make_member, make_site, settle, work_out_plans
from vpn.choices import PeerType
from vpn.models import ChangePlan, Instance, Operation, Peer
from vpn.presenters.activity.plan_groups import rows_of
from vpn.presenters.lists import shortened
from vpn.reach.counts import Counts
from vpn.reach.fates import Fates, Group, Row

PANEL = {"HX-Request": "true", "HX-Target": "plan"}


def line(source: str, destination: str, protocol: str = "any", port: str = "", *, after: bool = True) -> dict[str, Any]:
    return {
        "source": source,
        "destination": destination,
        "protocol": protocol,
        "port": port,
        "before": not after,
        "after": after,
    }


def said(*lines: dict[str, Any], opens: bool = True) -> list[str]:
    """The rows of a plan that was noted as lines alone, read aloud."""
    rows = rows_of({"reachability": lines}, lambda end: "the internet" if end == "any" else end.title())
    return [
        " ".join(f"{row.who.words} {row.verb} {row.whom.words} {row.way}".split()) for row in rows if row.opens == opens
    ]


def test_one_line_is_one_row() -> None:
    assert said(line("anna", "berlin", "tcp", "443")) == ["Anna reaches Berlin on TCP 443"]
    assert said(line("anna", "berlin", "udp", "1000-2000")) == ["Anna reaches Berlin on UDP 1000 to 2000"]
    assert said(line("anna", "berlin", "any", "53")) == ["Anna reaches Berlin on port 53, TCP and UDP"]
    assert said(line("anna", "berlin", "icmp")) == ["Anna reaches Berlin by ICMP, such as ping"]
    assert said(line("anna", "any", after=False), opens=False) == ["Anna no longer reaches the internet"]


def test_those_who_reach_the_same_share_a_row() -> None:
    lines = [line(source, end) for source in ("anna", "ben") for end in ("berlin", "any")]
    assert said(*lines) == ["Anna and Ben reach Berlin and the internet"]


def test_a_circle_is_said_once() -> None:
    ends = ("anna", "ben", "berlin")
    lines = [line(one, other, after=False) for one in ends for other in ends if one != other]
    assert said(*lines, opens=False) == ["Anna, Ben and Berlin no longer reach each other"]
    more = said(*lines, line("anna", "any", after=False), opens=False)
    assert sorted(more) == ["Anna no longer reaches the internet", "Anna, Ben and Berlin no longer reach each other"]


def test_half_a_circle_says_no_more_than_is_so() -> None:
    lines = [line("anna", "ben"), line("anna", "carl"), line("ben", "carl")]
    assert sorted(said(*lines)) == ["Anna and Ben reach Carl", "Anna reaches Ben"]


def test_the_same_over_several_ways_is_one_row() -> None:
    lines = [line("anna", "berlin", "tcp", "443"), line("anna", "berlin", "udp", "53")]
    assert said(*lines) == ["Anna reaches Berlin on TCP 443 and on UDP 53"]


def test_long_lists_are_cut_short() -> None:
    assert shortened(["a", "b", "c", "d"]) == "a, b, c and d"
    assert shortened(["a", "b", "c", "d", "e"]) == "a, b, c and 2 others"


@pytest.fixture
def crowd(organization: Organization) -> Instance:
    """A hub with 380 peers: three sites, and 377 people with a device each."""
    made = make_instance(organization)
    owners: list[Any] = [make_site(organization, name=f"Site {number}") for number in range(3)]
    owners += [make_member(organization, name=f"Person {number}") for number in range(377)]
    peers = []
    for number, owner in enumerate(owners):
        kind = {"site": owner, "type": PeerType.SITE} if number < 3 else {"member": owner, "type": PeerType.CLIENT}
        subnets = [f"10.{number}.0.0/24"] if number < 3 else []
        peers.append(
            Peer(
                instance=made,
                host=number + 2,
                public_key=f"{number:043}=",
                changed_generation=1,
                dns_label=f"p{number}",
                subnets=subnets,
                **kind,
            )
        )
    Peer.objects.bulk_create(peers)
    return settle(made)


def preview(browser: Client, instance: Instance, *rules: dict[str, str], policy: str = "allow") -> str:
    values = {"firewall_policy": policy, "preview": "true", "firewall-TOTAL_FORMS": str(len(rules))}
    for number, rule in enumerate(rules):
        whole = {"name": "", "action": "drop", "protocol": "any", "port": "", "source": "any", "destination": "any"}
        values |= {f"firewall-{number}-{field}": value for field, value in (whole | rule).items()}
    response = browser.post(f"/instances/{instance.pk}/firewall/", values, headers=PANEL)
    assert response.status_code == 200
    return str(response.content.decode())


def text_of(page: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", page).split())


def test_a_total_shut_off_of_380_peers_is_one_count_and_one_group(admin_browser: Client, crowd: Instance) -> None:
    page = preview(admin_browser, crowd, policy="deny")
    text = text_of(page)
    assert text.startswith("380 of 380 peers lose all other peers.")
    assert "Closes All 380 peers" in text
    assert "no longer reach each other" in text
    assert page.count("<tr>") == 1
    folded = page.split("<details")[1].split("</details>")[0]
    assert folded.count("<li>") == 380, "complete, and folded"
    assert {f">Person {number}<" in folded for number in range(377)} == {True}
    assert "There is more" not in text
    assert len(page) < 60_000


def test_a_rule_for_all_but_the_internet_counts_everybody_too(admin_browser: Client, crowd: Instance) -> None:
    text = text_of(preview(admin_browser, crowd, {"action": "drop"}))
    assert text.startswith("380 of 380 peers lose all other peers.")
    assert "the internet" in text


def test_who_loses_a_part_is_counted_apart(admin_browser: Client, crowd: Instance) -> None:
    site = Peer.objects.filter(instance=crowd, type=PeerType.SITE).select_related("site").first()
    assert site is not None
    assert site.site is not None
    text = text_of(preview(admin_browser, crowd, {"destination": f"site:{site.site_id}"}))
    assert text.startswith("379 of 380 peers lose a part of what they reach.")
    assert "377 people and 2 sites" in text
    assert f"no longer reach {site.site.name}" in text


def test_a_rule_that_changes_nothing_is_said_to(admin_browser: Client, crowd: Instance) -> None:
    nobody = {"source": "10.250.0.0/24"}
    text = text_of(preview(admin_browser, crowd, nobody))
    assert text.startswith("Nothing changes for any peer")
    assert "Rule 1 changes nothing" in text
    text = text_of(preview(admin_browser, crowd, {"action": "drop"}, {"action": "accept", "protocol": "tcp"}))
    assert "Rule 2 changes nothing" in text
    assert "Rule 1 changes" not in text
    text = text_of(preview(admin_browser, crowd, {"action": "drop"}, {"action": "drop"}))
    assert "Rule 2 changes nothing" in text


def test_what_was_saved_is_told_the_same_way_in_activity(admin_browser: Client, crowd: Instance) -> None:
    values = {"firewall_policy": "deny", "firewall-TOTAL_FORMS": "0"}
    assert admin_browser.post(f"/instances/{crowd.pk}/firewall/", values).status_code == 302
    work_out_plans(crowd)
    operation = Operation.objects.create(instance=crowd, kind="apply", state="succeeded")
    assert ChangePlan.objects.update(operation=operation) == 1
    text = text_of(admin_browser.get(f"/instances/{crowd.pk}/activity/").content.decode())
    assert "380 of 380 peers lose all other peers." in text


def test_somebody_who_left_is_still_somebody(admin_browser: Client, instance: Instance) -> None:
    operation = Operation.objects.create(instance=instance, kind="apply", state="succeeded")
    lines = [line(f"user:{uuid.uuid4()}", "any", after=False)]
    ChangePlan.objects.create(instance=instance, operation=operation, generation=1, plan={"reachability": lines})
    text = text_of(admin_browser.get(f"/instances/{instance.pk}/activity/").content.decode())
    assert "A former member no longer reaches the internet" in text


def test_two_hubs_are_told_together() -> None:
    whole = Fates()
    for number in (2, 3):
        groups = [Group(("user:a",), 1), Group((f"site:{number}",), 1)]
        whole.add(Fates(groups, [Row((0,), (1,), (("any", ""),), opens=True)], Counts(10, 1, 2, 3)))
    assert whole.groups == [Group(("user:a",), 1), Group(("site:2",), 1), Group(("site:3",), 1)]
    assert [row.destinations for row in whole.rows] == [(1,), (2,)]
    assert whole.counts == Counts(20, 2, 4, 6)
