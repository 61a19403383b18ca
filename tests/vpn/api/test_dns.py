"""DNS settings over the API."""

from __future__ import annotations

from django.db import connection
from django.test.utils import CaptureQueriesContext

from tests import factories
from tests.factories import BY
from tests.vpn.api.caller import Caller, refused, told
from vpn.actions.peers.peer import delete_peer
from vpn.models import Instance

RECORDS = [
    {"name": "nas", "type": "A", "value": "10.1.0.9"},
    {"name": "wiki.intra.example", "type": "CNAME", "value": "nas"},
]


def test_servers_domains_and_records_are_set_and_read(api: Caller, instance: Instance) -> None:
    path = f"/instances/{instance.pk}"
    body = told(api.put(path, {"split_dns": ["10.1.0.53"], "domains": ["Corp.Example"], "dns_custom": RECORDS}), 200)
    assert (body["split_dns"], body["domains"]) == (["10.1.0.53"], ["corp.example"])
    nas = f"nas.{body['hostname']}"
    assert body["dns_custom"] == [
        {"name": nas, "type": "A", "value": "10.1.0.9"},
        {"name": "wiki.intra.example", "type": "CNAME", "value": nas},
    ]
    assert told(api.get(path), 200)["dns_custom"] == body["dns_custom"]
    assert told(api.get("/instances"), 200)[0]["dns_custom"] == body["dns_custom"]
    assert "settings-changed" in body["status"]
    assert told(api.put(path, body), 200)["dns_custom"] == body["dns_custom"], "a read can be sent back"
    assert told(api.put(path, {"dns_custom": []}), 200)["dns_custom"] == []


def test_every_fault_is_named_in_words(api: Caller, instance: Instance) -> None:
    wanted = {
        "domains": ["corp.example", "*"],
        "dns_custom": [
            {"name": "nas", "type": "A", "value": "10.1.0.9"},
            {"name": "localhost.", "type": "X", "value": ""},
        ],
    }
    errors = refused(api.put(f"/instances/{instance.pk}", wanted), 422)["errors"]
    assert set(errors) == {"domains", "dns_custom"}
    assert [message.partition(":")[0] for message in errors["dns_custom"]] == [
        "Record 2 “localhost.”, type",
        "Record 2 “localhost.”, name",
    ]


def test_a_record_of_another_shape_is_refused(api: Caller, instance: Instance) -> None:
    for value in (
        [{"name": "nas"}],
        ["nas"],
        {"name": "nas"},
        [{**RECORDS[0], "ttl": 1}],
        [{**RECORDS[0], "value": 1}],
    ):
        assert list(refused(api.put(f"/instances/{instance.pk}", {"dns_custom": value}), 422)["errors"]) == [
            "dns_custom"
        ]


def test_the_list_takes_the_same_few_queries_for_any_number_of_instances(api: Caller, instance: Instance) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as counted:
            told(api.get("/instances"), 200)
        return len(counted)

    told(api.put(f"/instances/{instance.pk}", {"dns_custom": RECORDS}), 200)
    before = queries()
    another = factories.make_instance(instance.organization)
    told(api.put(f"/instances/{another.pk}", {"dns_custom": RECORDS}), 200)
    assert queries() == before


def test_a_read_may_be_sent_back_though_an_alias_leads_to_a_peer_that_is_gone(api: Caller, instance: Instance) -> None:
    path = f"/instances/{instance.pk}"
    peer = factories.make_client_peer(instance, factories.make_member(instance.organization, name="Anna"), "laptop")
    alias = {"name": "desk", "type": "CNAME", "value": "laptop.anna"}
    told(api.put(path, {"dns_custom": [alias]}), 200)
    delete_peer(peer, by=BY)
    read = told(api.get(path), 200)
    changed = told(api.put(path, {**read, "mtu": 1400}), 200)
    assert (changed["mtu"], changed["dns_custom"]) == (1400, read["dns_custom"])
    another = {**read["dns_custom"][0], "name": "other"}
    assert "resolve to nothing" in str(refused(api.put(path, {"dns_custom": [another]}), 422)["errors"]["dns_custom"])
