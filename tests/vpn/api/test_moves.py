"""Moving, rebuilding and cancelling by the API: bodies and If-Match as other calls take them."""

from __future__ import annotations

import pytest

from tests.vpn.api.caller import Caller, refused, told
from vpn.choices import Driver
from vpn.models import Instance, Move, Region, Server


@pytest.fixture
def path(instance: Instance) -> str:
    """An instance that could move to another region."""
    region = Region.objects.create(pk="ams", name="Amsterdam", driver=Driver.LOCAL)
    Server.objects.create(region=region, name="away", address="203.0.113.2")
    return f"/instances/{instance.pk}"


@pytest.mark.parametrize("act", ["rebuild", "cancel"])
def test_a_call_without_fields_takes_no_other_body(api: Caller, path: str, act: str) -> None:
    url = f"{path}/{act}"
    body = refused(api.post(url, {"region": "ams"}), 422)
    assert body["errors"] == {"region": ["There is no such field."]}
    refused(api.post(url, ["ams"]), 422)
    assert not Move.objects.exists()


def test_an_empty_object_is_no_body(api: Caller, path: str) -> None:
    told(api.post(f"{path}/rebuild", {}), 202)
    told(api.post(f"{path}/cancel"), 202)


@pytest.mark.parametrize(("act", "body"), [("move", {"region": "ams"}), ("rebuild", None)])
def test_a_stale_etag_begins_nothing(api: Caller, path: str, act: str, body: dict[str, str] | None) -> None:
    seen = api.get(path)["ETag"]
    changed = api.put(path, {"name": "Renamed"})
    refused(api.post(f"{path}/{act}", body, If_Match=seen), 412, "stale")
    assert not Move.objects.exists()
    told(api.post(f"{path}/{act}", body, If_Match=changed["ETag"]), 202)
    assert Move.objects.exists()


def test_a_stale_etag_cancels_nothing(api: Caller, path: str) -> None:
    told(api.post(f"{path}/move", {"region": "ams"}), 202)
    refused(api.post(f"{path}/cancel", If_Match='"stale"'), 412, "stale")
    assert Move.objects.exists()
    told(api.post(f"{path}/cancel", If_Match=api.get(path)["ETag"]), 202)
    assert not Move.objects.exists()
