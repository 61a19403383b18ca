"""An instance's firewall over the API."""

from __future__ import annotations

from uuid import uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from portal.models import Membership, Organization
from tests.factories import BY, make_instance, observe_hits
from tests.revising import unrevised
from tests.vpn.api.caller import Caller, refused, told
from vpn.actions.instances.settings import update_instance
from vpn.models import FirewallRule, Instance, Site


def test_rules_are_set_and_read_in_order(api: Caller, instance: Instance, site: Site, member: Membership) -> None:
    web = {"name": "web", "protocol": "tcp", "port": "443", "destination": f"site:{site.pk}"}
    body = {"firewall_policy": "deny", "firewall": [web, {"action": "drop", "source": f"user:{member.pk}"}]}
    shown = told(api.put(f"/instances/{instance.pk}", body), 200)
    assert shown["firewall_policy"] == "deny"
    assert [" ".join(rule) for rule in shown["firewall"]] == ["name action protocol port source destination hits"] * 2
    assert shown["firewall"] == [
        {**web, "action": "accept", "source": "any", "hits": 0},
        {
            "name": "",
            "action": "drop",
            "protocol": "any",
            "port": "",
            "source": f"user:{member.pk}",
            "destination": "any",
            "hits": 0,
        },
    ]
    assert shown["status"] == ["applying", "settings-changed"]
    assert told(api.get(f"/instances/{instance.pk}"), 200) == shown


def test_a_read_may_be_sent_back_though_hits_have_changed(api: Caller, instance: Instance) -> None:
    update_instance(instance, firewall=[{"name": "web", "port": "443"}], by=BY)
    read = told(api.get(f"/instances/{instance.pk}"), 200)
    observe_hits(FirewallRule.objects.all(), 7)
    assert told(api.put(f"/instances/{instance.pk}", {**read, "mtu": 1400}), 200)["firewall"][0]["hits"] == 7


def test_hits_are_nobodys_edit(api: Caller, instance: Instance) -> None:
    path = f"/instances/{instance.pk}"
    update_instance(instance, firewall=[{"name": "web"}], by=BY)
    before = api.get(path)["ETag"]
    observe_hits(FirewallRule.objects.all(), 7)
    assert api.get(path)["ETag"] == before
    told(api.put(path, {"firewall": [{"name": "web"}]}, If_Match=before), 200)
    after = api.put(path, {"firewall": [{"name": "web", "action": "drop"}]}, If_Match=before)
    told(after, 200)
    refused(api.put(path, {"firewall": []}, If_Match=before), 412)
    told(api.put(path, {"firewall": []}, If_Match=after["ETag"]), 200)


def test_every_fault_names_its_rule(api: Caller, instance: Instance) -> None:
    rules = [{}, {"name": "web", "port": "x", "source": "10.0.0.1/8"}, {"protocol": "icmp", "source": "fd00::/8"}]
    body = refused(api.put(f"/instances/{instance.pk}", {"firewall": rules, "firewall_policy": "maybe"}), 422)
    assert set(body["errors"]) == {"firewall", "firewall_policy"}
    assert [message.partition(":")[0] for message in body["errors"]["firewall"]] == [
        "Rule 2 “web”, port",
        "Rule 2 “web”, source",
        "Rule 3, protocol",
    ]


@pytest.mark.parametrize(
    ("rules", "words"),
    [
        ("none", "Enter a list."),
        (["web"], "Number 1: "),
        ([{}, {"port": 443}], "Number 2, port: Enter a text."),
        ([{"frob": 1}], "Number 1, frob: There is no such field."),
        ([{"name": "a\u0000b"}], "Number 1, name: Remove the NUL"),
    ],
)
def test_another_shape_is_refused(api: Caller, instance: Instance, rules: object, words: str) -> None:
    body = refused(api.put(f"/instances/{instance.pk}", {"firewall": rules}), 422)
    assert words in body["errors"]["firewall"][0]


def test_a_list_reads_all_rules_at_once(api: Caller, organization: Organization) -> None:
    for number in range(10):
        update_instance(
            make_instance(organization, name=f"Hub {number}"), firewall=[{"port": "1"}, {"port": "2"}], by=BY
        )
    with CaptureQueriesContext(connection) as queries:
        shown = told(api.get("/instances"), 200)
    assert [len(one["firewall"]) for one in shown] == [2] * 10
    assert len([query for query in queries if "vpn_firewallrule" in query["sql"]]) == 1


def test_an_auditor_reads(auditor_api: Caller, instance: Instance) -> None:
    update_instance(instance, firewall=[{"name": "web"}], by=BY)
    assert told(auditor_api.get(f"/instances/{instance.pk}"), 200)["firewall"][0]["name"] == "web"
    refused(auditor_api.put(f"/instances/{instance.pk}", {"firewall": []}), 403)


def test_a_read_may_be_sent_back_though_a_rule_names_somebody_who_is_gone(api: Caller, instance: Instance) -> None:
    path, gone = f"/instances/{instance.pk}", f"group:{uuid4()}"
    with unrevised():
        FirewallRule.objects.create(instance=instance, position=0, name="old", source=gone)
    read = told(api.get(path), 200)
    changed = told(api.put(path, {**read, "mtu": 1400}), 200)
    assert (changed["mtu"], changed["firewall"]) == (1400, read["firewall"])
    other = [{"action": "drop", "source": gone}]
    assert "no such group" in str(refused(api.put(path, {"firewall": other}), 422)["errors"]["firewall"])
