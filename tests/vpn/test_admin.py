"""Django admin: staff look, retry and forget; sealed columns are never shown."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest
from django.test import Client

from tests.factories import make_instance
from vpn.choices import InstanceState
from vpn.models import Instance, Operation, Peer

MODELS = ("region", "server", "instance", "peer", "site", "operation")


@pytest.mark.parametrize("model", MODELS)
def test_staff_read_every_list(staff_browser: Client, client_peer: Peer, site_peer: Peer, model: str) -> None:
    assert staff_browser.get(f"/admin/vpn/{model}/").status_code == 200


@pytest.mark.parametrize("model", MODELS)
def test_nobody_else_does(admin_browser: Client, model: str) -> None:
    assert admin_browser.get(f"/admin/vpn/{model}/").status_code == 302


@pytest.mark.parametrize("model", [model for model in MODELS if model not in {"region", "server"}])
def test_rows_are_neither_added_nor_deleted(staff_browser: Client, model: str) -> None:
    assert staff_browser.get(f"/admin/vpn/{model}/add/").status_code == 403


def test_sealed_columns_are_never_shown(staff_browser: Client, client_peer: Peer) -> None:
    instance = client_peer.instance
    pages = b"".join(
        staff_browser.get(url).content
        for url in (
            f"/admin/vpn/peer/{client_peer.pk}/change/",
            f"/admin/vpn/instance/{instance.pk}/change/",
            "/admin/vpn/peer/",
            "/admin/vpn/instance/",
        )
    ).decode()
    assert client_peer.public_key in pages
    assert "sealed" not in pages.replace("Kept sealed by the portal", "")
    for secret in (client_peer.private_key_sealed, client_peer.preshared_key, instance.private_key_sealed):
        assert secret not in pages


def test_what_is_read_cannot_be_changed(staff_browser: Client, instance: Instance) -> None:
    url = f"/admin/vpn/instance/{instance.pk}/change/"
    assert staff_browser.post(url, {"name": "Mine now"}).status_code == 403
    assert Instance.objects.get().name == "Frankfurt"


def test_a_regions_availability_can_be_changed(staff_browser: Client, instance: Instance) -> None:
    values = {"name": "This machine", "country": "DE", "unavailable_reason": "Full"}
    assert staff_browser.post("/admin/vpn/region/local/change/", values).status_code == 302
    instance.region.refresh_from_db()
    assert (instance.region.available, instance.region.unavailable_reason) == (False, "Full")


def act(browser: Client, action: str, instance: Instance, **more: str) -> str:
    values = {"action": action, "_selected_action": str(instance.pk), **more}
    return browser.post("/admin/vpn/instance/", values, follow=True).content.decode()


def test_apply_again_rings(
    staff_browser: Client,
    instance: Instance,
    rung: list[tuple[str, ...]],
    django_capture_on_commit_callbacks: Callable[..., AbstractContextManager[object]],
) -> None:
    rung.clear()
    with django_capture_on_commit_callbacks(execute=True):
        act(staff_browser, "apply_again", instance)
    assert rung == [("apply", "vpn.jobs.apply.apply_instance", str(instance.pk))]


def test_retry_goes_on_with_what_failed(staff_browser: Client, instance: Instance) -> None:
    assert "there is nothing to retry" in act(staff_browser, "retry", instance)
    Instance.objects.update(state=InstanceState.FAILED)
    act(staff_browser, "retry", instance)
    assert Instance.objects.get().state == InstanceState.PROVISIONING


def test_forget_asks_once(staff_browser: Client, client_peer: Peer) -> None:
    instance = client_peer.instance
    other = make_instance(instance.organization, name="Other")
    question = act(staff_browser, "forget", instance)
    assert instance.name in question
    assert "gone for good" in question
    assert Instance.objects.count() == 2
    act(staff_browser, "forget", instance, confirmed="true")
    assert list(Instance.objects.all()) == [other]
    assert not Operation.objects.exclude(instance=other).exists()


@pytest.mark.parametrize(("model", "action"), [("server", "cordon"), ("server", "forget"), ("instance", "apply_again")])
def test_a_key_that_is_no_rows_gets_a_message(
    staff_browser: Client, instance: Instance, model: str, action: str
) -> None:
    sent = {"action": action, "_selected_action": ["nope"]}
    page = staff_browser.post(f"/admin/vpn/{model}/", sent, follow=True)
    assert page.status_code == 200
    assert "A chosen row does not exist." in page.content.decode()
