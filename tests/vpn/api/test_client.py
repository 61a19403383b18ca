"""Share tokens, and the profiles that they fetch."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from django.utils import timezone

from portal.models import Membership
from tests.vpn.api.caller import Caller, refused, told
from vpn import keys
from vpn.models import Instance, Peer, ProfileLink


def path_of(peer: Peer) -> str:
    """Where the peer is."""
    return f"/instances/{peer.instance_id}/peers/{peer.pk}"


def on_hub(peer: Peer) -> None:
    """As if the server had confirmed the peer."""
    Peer.objects.filter(pk=peer.pk).update(applied_digest="x")
    generation = Instance.objects.get(pk=peer.instance_id).desired_generation
    Instance.objects.filter(pk=peer.instance_id).update(applied_generation=generation)


def make_token(api: Caller, peer: Peer) -> str:
    """A share token."""
    body = told(api.post(f"{path_of(peer)}/token"), 201)
    assert body["token_ttl"] == 3600
    return str(body["token"])


@pytest.mark.parametrize("accept", [None, "*/*", "text/plain", "text/*", "text/html,*/*;q=0.8", "image/png"])
def test_a_token_fetches_the_file_once(api: Caller, client_peer: Peer, accept: str | None) -> None:
    token = make_token(api, client_peer)
    on_hub(client_peer)
    response = Caller(token).get("/client", **({"Accept": accept} if accept else {}))
    assert (response.status_code, response["Content-Type"]) == (200, "text/plain; charset=utf-8")
    assert response["Cache-Control"] == "no-store"
    text = response.content.decode()
    assert f"PrivateKey = {client_peer.private_key}\n" in text
    assert response["Content-Disposition"].endswith('.conf"')
    refused(Caller(token).get("/client"), 404)


def test_a_token_fetches_json_where_it_is_wanted(api: Caller, client_peer: Peer) -> None:
    token = make_token(api, client_peer)
    on_hub(client_peer)
    response = Caller(token).get("/client", Accept="application/json")
    body = told(response, 200)
    assert list(body) == ["filename", "content_type", "content"]
    assert "[Interface]" in body["content"]


def test_the_token_stays_unspent_while_the_hub_does_not_have_the_peer(api: Caller, client_peer: Peer) -> None:
    token = make_token(api, client_peer)
    response = Caller(token).get("/client")
    refused(response, 503)
    assert int(response["Retry-After"]) >= 1
    on_hub(client_peer)
    assert Caller(token).get("/client").status_code == 200


def test_a_delivered_profile_is_current_until_it_would_change(api: Caller, client_peer: Peer) -> None:
    on_hub(client_peer)
    Caller(make_token(api, client_peer)).get("/client")
    assert told(api.get(path_of(client_peer)), 200)["profile_state"] == "current"
    told(api.put(f"/instances/{client_peer.instance_id}", {"pushed_routes": ["198.51.100.0/24"]}), 200)
    read = told(api.get(path_of(client_peer)), 200)
    assert (read["profile_state"], read["outdated_reason"]) == ("outdated", "changed")


def test_a_new_token_ends_the_older_one(api: Caller, client_peer: Peer) -> None:
    older, newer = make_token(api, client_peer), make_token(api, client_peer)
    on_hub(client_peer)
    refused(Caller(older).get("/client"), 404)
    assert Caller(newer).get("/client").status_code == 200


def test_a_revoked_token_is_unknown(api: Caller, client_peer: Peer) -> None:
    token = make_token(api, client_peer)
    on_hub(client_peer)
    for _ in range(2):
        assert api.delete(f"{path_of(client_peer)}/token").status_code == 204
    refused(Caller(token).get("/client"), 404)


def test_an_expired_token_is_unknown(api: Caller, client_peer: Peer) -> None:
    token = make_token(api, client_peer)
    on_hub(client_peer)
    ProfileLink.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    refused(Caller(token).get("/client"), 404)


def test_a_deactivated_members_token_is_unknown(api: Caller, client_peer: Peer, member: Membership) -> None:
    token = make_token(api, client_peer)
    told(api.put(f"/users/{member.pk}", {"active": False}), 200)
    on_hub(client_peer)
    refused(Caller(token).get("/client"), 404)


def test_a_token_of_a_hub_that_is_going_away_is_unknown(api: Caller, client_peer: Peer) -> None:
    token = make_token(api, client_peer)
    on_hub(client_peer)
    told(api.delete(f"/instances/{client_peer.instance_id}"), 202)
    refused(Caller(token).get("/client"), 404)


def test_no_token_and_an_unknown_one_are_refused(db: None) -> None:
    refused(Caller().get("/client"), 401)
    refused(Caller("unknown").get("/client"), 404)


def test_an_api_token_is_no_share_token_nor_the_reverse(api: Caller, client_peer: Peer) -> None:
    refused(Caller(api.token).get("/client"), 404)
    refused(Caller(make_token(api, client_peer)).get("/sites"), 401)


def test_rotation_gives_new_keys_and_a_token(api: Caller, client_peer: Peer) -> None:
    older = make_token(api, client_peer)
    body = told(api.post(f"{path_of(client_peer)}/rotate"), 200)
    assert body["public_key"] != client_peer.public_key
    assert (body["id"], body["token_ttl"], body["profile_state"]) == (str(client_peer.pk), 3600, "undelivered")
    told(api.put(path_of(client_peer), body), 200)
    on_hub(client_peer)
    refused(Caller(older).get("/client"), 404)
    assert Caller(body["token"]).get("/client").status_code == 200


def test_a_devices_own_key_is_not_in_its_profile(api: Caller, instance: Instance, member: Membership) -> None:
    public_key = keys.public_key(keys.generate_private_key())
    wanted = {"type": "client", "user_id": str(member.pk), "route_all": False, "public_key": public_key}
    peer = Peer.objects.get(pk=told(api.post(f"/instances/{instance.pk}/peers", wanted), 201)["id"])
    token = make_token(api, peer)
    on_hub(peer)
    assert "PrivateKey =" not in Caller(token).get("/client").content.decode()
    refused(api.post(f"{path_of(peer)}/rotate"), 409)


def test_a_token_for_a_destroyed_key_is_a_conflict(api: Caller, client_peer: Peer) -> None:
    Peer.objects.filter(pk=client_peer.pk).update(key_custody="destroyed", private_key_sealed="")
    refused(api.post(f"{path_of(client_peer)}/token"), 409)


def test_no_answer_but_the_profile_holds_a_secret(
    api: Caller, client_peer: Peer, site_peer: Peer, member: Membership
) -> None:
    instance = client_peer.instance
    base = f"/instances/{instance.pk}"
    told(api.post("/sites", {"name": "x", "platform": "linux", "subnets": []}, Idempotency_Key="k"), 201)
    answers = [
        api.get(path).content.decode()
        for path in (
            *("/servers/regions", "/instances", base, f"{base}/operations", f"{base}/bandwidth", f"{base}/peers"),
            *(path_of(client_peer), path_of(site_peer), "/sites", f"/sites/{site_peer.site_id}", "/users"),
            *(f"/users/{member.pk}", f"/site/{site_peer.site_id}/subnets"),
        )
    ]
    answers.append(api.put(path_of(client_peer), {"device": "other"}).content.decode())
    answers.append(api.post(f"{path_of(client_peer)}/token").content.decode())
    answers.append(api.post(f"{path_of(site_peer)}/rotate").content.decode())
    digest = ProfileLink.objects.get(peer=client_peer).digest
    secrets = [instance.private_key, instance.private_key_sealed, digest, *member.api_tokens.values_list("digest")]
    for peer in Peer.objects.all():
        secrets += [peer.private_key, peer.preshared_key, peer.private_key_sealed, peer.preshared_key_sealed]
    assert all(secrets)
    for text in answers:
        assert json.loads(text) is not None
        for secret in secrets:
            assert str(secret) not in text
        assert "private" not in text.replace("private_key_kept", "")
