"""HEAD is GET without the content, and never spends anything."""

from __future__ import annotations

import pytest

from tests.vpn.api.caller import Caller
from vpn.models import Instance, Peer, ProfileLink


@pytest.mark.parametrize("path", ["/instances", "/instances/{pk}", "/instances/{pk}/operations", "/servers/regions"])
def test_head_answers_as_get_does(api: Caller, instance: Instance, path: str) -> None:
    path = path.format(pk=instance.pk)
    whole, head = api.get(path), api.call("HEAD", path)
    assert head.status_code == whole.status_code == 200
    assert head.content == b""
    assert head["Content-Length"] == str(len(whole.content))
    assert head["Content-Type"] == whole["Content-Type"]
    assert head.get("ETag") == whole.get("ETag")


def test_head_is_refused_as_get_is(api: Caller, stranger_api: Caller, instance: Instance) -> None:
    assert stranger_api.call("HEAD", f"/instances/{instance.pk}").status_code == 404
    assert Caller().call("HEAD", "/instances").status_code == 401
    assert api.call("HEAD", f"/instances/{instance.pk}/retry").status_code == 405


def test_head_spends_no_share_token(api: Caller, client_peer: Peer) -> None:
    token = api.post(f"/instances/{client_peer.instance_id}/peers/{client_peer.pk}/token").json()["token"]
    assert Caller(token).call("HEAD", "/client").status_code == 405
    assert ProfileLink.objects.exists()
