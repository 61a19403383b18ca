"""The management of routers over the API."""

from __future__ import annotations

from tests.vpn.api.caller import Caller, refused, told
from vpn.models import Instance, Site


def test_the_api_reads_and_changes_it(api: Caller, instance: Instance, site: Site) -> None:
    path = f"/instances/{instance.pk}"
    shown = told(api.get(path), 200)
    assert (shown["management_services"], shown["management_sources"]) == ([], [])
    wanted = {"management_services": ["https", "ssh"], "management_sources": [f"site:{str(site.pk).upper()}"]}
    shown = told(api.put(path, wanted), 200)
    assert (shown["management_services"], shown["management_sources"]) == (["ssh", "https"], [f"site:{site.pk}"])
    assert told(api.put(path, {**shown, "mtu": 1408}), 200)["management_services"] == ["ssh", "https"]
    body = refused(api.put(path, {"management_services": ["telnet"]}), 422)
    assert set(body["errors"]) == {"management_services"}
    number = told(api.get(f"{path}/revisions"), 200)[0]["number"]
    content = told(api.get(f"{path}/revisions/{number}"), 200)
    assert content["management_sources"] == [f"site:{site.pk}"]
    first = told(api.get(f"{path}/revisions/1"), 200)
    assert first["management_services"] == []
