"""Routers that enrol: tokens, what they report, and which configuration they get."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import LazySettings
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from portal.models import JournalEntry
from tests.factories import BY, make_instance, make_site, make_site_peer, settle
from tests.vpn.api.caller import Caller, refused, told
from tests.vpn.routers import REPORT, enrol, enrolled, new_key, placed, words_of
from vpn.actions.instances.settings import update_instance
from vpn.actions.peers.peer import delete_peer, update_peer
from vpn.actions.profiles.profile import digest_of
from vpn.actions.sites.check_in import CheckIn, check_in, find_router
from vpn.actions.sites.router import RouterNotFound, end_router, offer_again, offer_enrolment
from vpn.choices import KeyCustody, Platform, Protocol
from vpn.models import Instance, Peer, Router, Server, Site

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]


def test_the_script_comes_for_a_token_and_does_not_spend_it(site_peer: Peer) -> None:
    token = offer_enrolment(placed(site_peer), by=BY)
    for _ in range(2):
        answer = Caller(token).get("/router/script")
        assert (answer.status_code, answer["Content-Type"]) == (200, "text/plain; charset=utf-8")
        assert answer["Cache-Control"] == "no-store"
    script = answer.content.decode()
    assert script.startswith("#!/bin/sh\n")
    assert f"TOKEN={token}\n" in script
    assert "@" not in "".join(line for line in script.splitlines() if line.startswith(("PORTAL=", "TOKEN=")))
    assert Path("vpn/routers/follow.sh").read_text() in script
    assert Caller(token).call("HEAD", "/router/script").status_code == 200
    assert enrol(site_peer, token).status_code == 200


def test_enrolling_gives_the_hub_the_key_and_the_router_its_configuration(site_peer: Peer) -> None:
    placed(site_peer)
    key = new_key()
    answer = enrol(site_peer, public_key=key)
    lines, text = words_of(answer), answer.content.decode()
    peer = Peer.objects.get()
    assert (peer.public_key, peer.key_custody, peer.private_key_sealed) == (key, KeyCustody.DEVICE, "")
    assert lines["device"] == f"vpn_{peer.pk.hex[:8]}"
    assert lines["interval"] == "60"
    assert f"PresharedKey = {peer.preshared_key}\n" in text
    assert "Endpoint = 192.0.2.7:" in text
    assert "PrivateKey" not in text
    assert text.endswith("\n# end\n")
    router = Router.objects.get()
    assert (router.model, router.identity, router.reported_subnets) == ("APU2", "berlin-gw", ["10.9.0.0/24"])
    assert lines["token"] not in str(list(Router.objects.values()))
    line = JournalEntry.objects.get(code="peer.router_enrolled")
    assert (line.actor_kind, line.actor_name) == ("router", peer.label)


def test_a_token_enrols_once(site_peer: Peer) -> None:
    token = offer_enrolment(placed(site_peer), by=BY)
    assert enrol(site_peer, token).status_code == 200
    refused(enrol(site_peer, token), 401, "token-invalid")
    refused(Caller(token).get("/router/script"), 401, "token-invalid")


@pytest.mark.parametrize("ending", ["newer", "expired", "disabled", "openvpn", "platform", "deleted", "revoked"])
def test_a_token_ends(site_peer: Peer, ending: str) -> None:
    peer = placed(site_peer)
    token = offer_enrolment(peer, by=BY)
    match ending:
        case "newer":
            offer_enrolment(peer, by=BY)
        case "expired":
            Router.objects.update(enrolment_ends_at=timezone.now() - timedelta(seconds=1))
        case "disabled":
            update_peer(peer, by=BY, enabled=False)
        case "openvpn":
            Peer.objects.update(protocol=Protocol.OPENVPN)
        case "platform":
            Site.objects.update(platform=Platform.ROUTEROS7)
        case "deleted":
            delete_peer(peer, by=BY)
        case "revoked":
            end_router(peer, by=BY)
    key = site_peer.public_key
    refused(enrol(peer, token), 401, "token-invalid")
    assert not Peer.objects.exclude(public_key=key).exists()


def test_a_token_enrols_its_own_peer_alone(site_peer: Peer, stranger: Any) -> None:
    other = make_site_peer(make_instance(stranger.organization), make_site(stranger.organization))
    placed(other)
    token = offer_enrolment(placed(site_peer), by=BY)
    assert enrol(site_peer, token).status_code == 200
    assert Peer.objects.get(pk=other.pk).public_key == other.public_key
    assert not Router.objects.exclude(peer=site_peer).exists()


def test_a_program_gets_the_line_too(api: Caller, site_peer: Peer, client_peer: Peer) -> None:
    peer = placed(site_peer)
    former = offer_enrolment(peer, by=BY)
    path = f"/instances/{peer.instance_id}/peers"
    body = told(api.post(f"{path}/{peer.pk}/enrolment"), 201)
    assert body["token_ttl"] == 86_400
    assert body["lines"]["curl"].startswith(f"curl -fsS -H 'Authorization: Bearer {body['token']}' http")
    refused(enrol(peer, former), 401, "token-invalid")
    assert enrol(peer, body["token"]).status_code == 200
    refused(api.post(f"{path}/{client_peer.pk}/enrolment"), 409)
    assert JournalEntry.objects.filter(code="peer.enrolment_offered").count() == 2


@pytest.mark.parametrize("path", ["/router/script", "/router/enrol", "/router/check-in"])
def test_nothing_comes_without_a_token_of_that_kind(api: Caller, site_peer: Peer, path: str) -> None:
    method = "GET" if path.endswith("script") else "POST"
    router = enrolled(site_peer)
    refused(Caller().call(method, path), 401, "token-missing")
    wrong = [api.token, "unknown", router.token if path != "/router/check-in" else offer_enrolment(site_peer, by=BY)]
    for token in wrong:
        refused(Caller(token).call(method, path, {"version": 1}), 401, "token-invalid")
    refused(api.call(method, path), 401)


def test_guessing_tokens_is_slowed_down(settings: LazySettings, db: None) -> None:
    settings.API_LIMITS = {"wrong-router-token": 2}
    answers = [Caller("guess").post("/router/check-in", {"version": 1}).status_code for _ in range(3)]
    assert answers in ([401, 401, 429], [401, 401, 401]), "not counted without Redis"


@pytest.mark.parametrize(
    ("report", "field"),
    [
        ({"public_key": "no key"}, "public_key"),
        ({"public_key": "A" * 43 + "="}, "public_key"),
        ({"subnets": ["10.0.0.1/24"]}, "subnets"),
        ({"subnets": ["; rm -rf /"]}, "subnets"),
        ({"subnets": "10.0.0.0/24"}, "subnets"),
        ({"subnets": ["10.0.0.0/24"] * 501}, "subnets"),
        ({"identity": "x" * 201}, "identity"),
        ({"identity": 7}, "identity"),
        ({"more": 1}, "more"),
    ],
)
def test_what_is_malformed_is_refused_and_the_token_stays(site_peer: Peer, report: dict[str, Any], field: str) -> None:
    token = offer_enrolment(placed(site_peer), by=BY)
    assert field in refused(enrol(site_peer, token, **report), 422)["errors"]
    assert enrol(site_peer, token).status_code == 200


def test_bodies_are_limited(site_peer: Peer) -> None:
    token = offer_enrolment(placed(site_peer), by=BY)
    refused(Caller(token).post("/router/enrol", b"x" * (1024 * 1024 + 1)), 413)
    refused(Caller(token).post("/router/enrol", b"\xff"), 400)


def test_a_key_of_another_peer_is_refused(site_peer: Peer, client_peer: Peer) -> None:
    token = offer_enrolment(placed(site_peer), by=BY)
    refused(enrol(site_peer, token, public_key=client_peer.public_key), 409, "key-in-use")
    assert enrol(site_peer, token).status_code == 200


def test_strange_names_are_shown_plain(site_peer: Peer, admin_browser: Client) -> None:
    enrolled(site_peer, identity="<script>\x1b[31m\n\u202e " + "x" * 150, model="  ", version='"\\')
    router = Router.objects.get()
    assert router.identity == ("<script> [31m " + "x" * 150)[:80]
    assert (router.model, router.version) == ("", '"\\')
    page = admin_browser.get(f"/peers/{site_peer.pk}/").content.decode()
    assert "&lt;script&gt; [31m" in page


def test_networks_that_no_site_may_advertise_are_not_offered(site_peer: Peer) -> None:
    subnets = ["127.0.0.0/8", "0.0.0.0/0", "fe80::/64", "169.254.0.0/16", "10.7.0.0/24", "10.7.0.0/24", "fd77::/64"]
    enrolled(site_peer, subnets=[*subnets, *(f"10.100.{one}.0/24" for one in range(100))])
    reported = Router.objects.get().reported_subnets
    assert reported[:3] == ["10.7.0.0/24", "fd77::/64", "10.100.0.0/24"]
    assert len(reported) == 50
    assert Peer.objects.get().subnets == site_peer.subnets, "nothing is advertised without a confirmation"


def test_a_router_that_has_its_configuration_is_told_so_with_two_queries(site_peer: Peer) -> None:
    router = enrolled(site_peer)
    assert router.check_in(handshake_age=3, addresses=["192.0.2.9"]).status_code == 304
    with CaptureQueriesContext(connection) as asked:
        answer = router.check_in(handshake_age=3, addresses=["192.0.2.9"])
    assert (answer.status_code, answer.content) == (304, b"")
    said = [one["sql"] for one in asked if one["sql"].startswith(("SELECT", "UPDATE", "INSERT"))]
    assert len(said) == 2
    row = Router.objects.get()
    assert row.checked_in_at is not None
    assert (row.applied, row.addresses) == (router.applied, ["192.0.2.9"])
    assert row.handshake_at is not None
    assert Peer.objects.get().delivered_digest, "its profile counts as delivered"


def test_changes_reach_it(site_peer: Peer) -> None:
    router = enrolled(site_peer)
    update_instance(site_peer.instance, pushed_routes=["198.51.100.0/24"], by=BY)
    settle(site_peer.instance)
    answer = router.check_in()
    assert "route 198.51.100.0/24\n" in answer.content.decode()
    assert router.check_in().status_code == 304
    other = make_site_peer(site_peer.instance, make_site(site_peer.instance.organization), ["10.200.0.0/24"])
    settle(site_peer.instance)
    assert "route 10.200.0.0/24\n" in router.check_in().content.decode()
    delete_peer(other, by=BY)
    settle(site_peer.instance)
    assert "10.200.0.0/24" not in router.check_in().content.decode()
    Server.objects.update(address="192.0.2.8")
    assert "Endpoint = 192.0.2.8:" in router.check_in().content.decode()


def test_a_change_waits_for_the_hub_and_for_a_peer_that_may_connect(site_peer: Peer) -> None:
    router = enrolled(site_peer)
    update_instance(site_peer.instance, pushed_routes=["198.51.100.0/24"], by=BY)
    settle(site_peer.instance)
    Peer.objects.update(applied_digest="")
    assert router.check_in().status_code == 304
    settle(site_peer.instance)
    Peer.objects.update(enabled=False)
    assert router.check_in().status_code == 304
    Peer.objects.update(enabled=True)
    assert router.check_in().status_code == 200


def test_a_change_of_the_hub_itself_waits_for_the_hub(site_peer: Peer) -> None:
    router = enrolled(site_peer)
    update_instance(site_peer.instance, mtu=1380, by=BY)
    assert router.check_in().status_code == 304, "the router would go back, and never get it again"
    settle(site_peer.instance)
    assert words_of(router.check_in())["mtu"] == "1380"


def test_a_router_whose_key_ended_gets_no_configuration(site_peer: Peer, admin_browser: Client) -> None:
    router = enrolled(site_peer)
    Peer.objects.update(key_custody=KeyCustody.PORTAL)
    router.applied = "0" * 64
    assert router.check_in().status_code == 304
    assert "Enrol the router again." in admin_browser.get(f"/peers/{site_peer.pk}/").content.decode()


def test_a_router_of_another_platform_follows_no_more_as_its_page_says(site_peer: Peer, admin_browser: Client) -> None:
    router = enrolled(site_peer)
    Site.objects.update(platform=Platform.ROUTEROS7)
    router.applied = "0" * 64
    assert "Does not follow" in admin_browser.get(f"/peers/{site_peer.pk}/").content.decode()
    assert router.check_in().status_code == 304


def test_the_page_says_what_a_router_does_not_set_up(site_peer: Peer, admin_browser: Client) -> None:
    router = enrolled(site_peer)
    router.check_in()
    words = "Its program does not touch the router&#x27;s firewall"
    assert words not in admin_browser.get(f"/peers/{site_peer.pk}/").content.decode()
    Peer.objects.update(is_exit=True)
    assert words in admin_browser.get(f"/peers/{site_peer.pk}/").content.decode()


def test_what_it_went_back_from_is_not_offered_again_until_it_changes_or_an_admin_says_so(site_peer: Peer) -> None:
    router = enrolled(site_peer)
    former = router.applied
    update_instance(site_peer.instance, pushed_routes=["198.51.100.0/24"], by=BY)
    settle(site_peer.instance)
    failed = words_of(router.check_in())["fingerprint"]
    router.applied = former
    back = {"rolled_back": {"fingerprint": failed, "why": "no-handshake"}}
    assert router.check_in(**back).status_code == 304
    assert router.check_in(**back).status_code == 304
    assert router.check_in().status_code == 304
    line = JournalEntry.objects.get(code="peer.router_rolled_back")
    assert "no-handshake" in line.document
    offer_again(site_peer, by=BY)
    assert words_of(router.check_in())["fingerprint"] == failed
    router.applied = former
    assert router.check_in(**back).status_code == 304
    update_instance(site_peer.instance, pushed_routes=["203.0.113.0/24"], by=BY)
    settle(site_peer.instance)
    assert router.check_in().status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"version": 0},
        {"version": 1, "applied": "x"},
        {"version": 1, "handshake_age": -1},
        {"version": 1, "addresses": ["1"] * 51},
        {"version": 1, "rolled_back": {"fingerprint": "", "why": "<b>"}},
        {"version": 1, "more": 1},
    ],
)
def test_a_malformed_check_in_is_refused(site_peer: Peer, body: dict[str, Any]) -> None:
    router = enrolled(site_peer)
    refused(Caller(router.token).post("/router/check-in", body), 422)


def test_its_token_is_renewed_and_the_former_one_works_until_the_new_one_was_used(site_peer: Peer) -> None:
    router = enrolled(site_peer)
    assert "token" not in router.check_in().content.decode()
    Router.objects.update(token_made_at=timezone.now() - timedelta(days=29))
    former = router.token
    lost = words_of(router.check_in())["token"]
    router.token = former
    assert words_of(router.check_in())["token"] not in {former, lost}
    assert router.token != former
    assert Caller(former).post("/router/check-in", {"version": 1, "applied": router.applied}).status_code == 200
    current = words_of(Caller(former).post("/router/check-in", {"version": 1, "applied": router.applied}))["token"]
    router.token = current
    assert router.check_in().status_code == 304
    refused(Caller(former).post("/router/check-in", {"version": 1}), 401, "token-invalid")
    refused(Caller(lost).post("/router/check-in", {"version": 1}), 401, "token-invalid")


def test_a_renewed_token_brings_nothing_that_it_went_back_from(site_peer: Peer) -> None:
    router = enrolled(site_peer)
    former = router.applied
    update_instance(site_peer.instance, pushed_routes=["198.51.100.0/24"], by=BY)
    settle(site_peer.instance)
    failed = words_of(router.check_in())["fingerprint"]
    Router.objects.update(token_made_at=timezone.now() - timedelta(days=29))
    body = {"version": 1, "applied": former, "rolled_back": {"fingerprint": failed, "why": "no-handshake"}}
    answer = Caller(router.token).post("/router/check-in", body)
    assert list(words_of(answer)) == ["token"]
    assert answer.content.decode().startswith("# vpn-portal 1\ntoken ")
    assert answer.content.endswith(b"\n# end\n")
    router.token, router.applied = words_of(answer)["token"], former
    assert router.check_in().status_code == 304


def test_a_check_in_does_not_take_the_place_of_a_router_that_enrolled_meanwhile(site_peer: Peer) -> None:
    former = enrolled(site_peer)
    row = find_router(former.token)
    newer = enrolled(site_peer)
    row.next_digest = digest_of(former.token)
    with pytest.raises(RouterNotFound):
        check_in(row, former.token, CheckIn(applied="0" * 64), by=BY)
    assert newer.check_in().status_code == 304


@pytest.mark.parametrize("ending", ["revoked", "deleted", "instance"])
def test_a_router_that_was_ended_is_told_so(site_peer: Peer, ending: str) -> None:
    router = enrolled(site_peer)
    key = router.peer.public_key
    match ending:
        case "revoked":
            end_router(router.peer, by=BY)
            assert Peer.objects.get().public_key != key, "the hub refuses its key"
        case "deleted":
            delete_peer(router.peer, by=BY)
        case "instance":
            Instance.objects.all().delete()
    refused(router.check_in(), 410, "router-ended")


def test_a_router_that_takes_its_place_ends_the_former_one(site_peer: Peer) -> None:
    former = enrolled(site_peer)
    newer = enrolled(site_peer, identity="new-gw")
    refused(former.check_in(), 401, "token-invalid")
    assert newer.check_in().status_code == 304
    assert Router.objects.get().identity == "new-gw"


def test_an_openvpn_peer_is_left_alone(site_peer: Peer) -> None:
    router = enrolled(site_peer)
    Peer.objects.update(protocol=Protocol.OPENVPN)
    assert router.check_in().status_code == 304


def test_a_hub_without_an_address_keeps_the_token(site_peer: Peer) -> None:
    token = offer_enrolment(site_peer, by=BY)
    Instance.objects.update(server=None)
    refused(enrol(site_peer, token), 503, "hub-not-ready")
    placed(site_peer)
    assert enrol(site_peer, token).status_code == 200
    assert REPORT["model"] == Router.objects.get().model
