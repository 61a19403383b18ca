"""What every page keeps: the strict content security policy, one heading, landmarks, fragments without the frame."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest
from django.test import Client

from portal.models import Organization
from tests.factories import make_instance
from vpn.choices import InstanceState
from vpn.models import Instance, Peer

pytestmark = pytest.mark.django_db
TABS = ("", "progress/", "routing/", "dns/", "settings/", "activity/", "delete/")


class _Reader(HTMLParser):
    """Notes what a strict policy or a screen reader would trip over."""

    def __init__(self) -> None:
        super().__init__()
        self.faults: list[str] = []
        self.tags: list[str] = []
        self.ids: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Look at one tag."""
        given = dict(attrs)
        self.tags.append(tag)
        self.ids += [value for name, value in attrs if name == "id" and value]
        self.faults += [f"{tag} has {name}" for name in given if name == "style" or name.startswith(("on", "hx-on"))]
        if tag == "style" or (tag == "script" and "src" not in given):
            self.faults.append(f"inline {tag}")
        self.faults += [
            f"{tag} has {value}" for value in given.values() if value and value.startswith(("js:", "javascript:"))
        ]


def read(page: str) -> _Reader:
    """A page as it was sent."""
    reader = _Reader()
    reader.feed(page)
    return reader


@pytest.mark.parametrize("state", [InstanceState.READY, InstanceState.PROVISIONING, InstanceState.FAILED])
def test_pages_keep_the_strict_policy_and_their_landmarks(
    admin_browser: Client, organization: Organization, state: str
) -> None:
    instance = make_instance(organization, state=state)
    for path in ("/", "/instances/new/", *(f"/instances/{instance.pk}/{tab}" for tab in TABS)):
        answer = admin_browser.get(path)
        found = read(answer.content.decode())
        assert found.faults == [], path
        assert [found.tags.count(tag) for tag in ("h1", "main", "header")] == [1, 1, 1], path
        assert len(found.ids) == len(set(found.ids)), path
        policy = answer["Content-Security-Policy"]
        assert "script-src 'self'" in policy
        assert "style-src 'self'" in policy
        assert "unsafe" not in policy


def test_the_settings_form_is_the_first_in_main_even_beside_a_notice(admin_browser: Client, instance: Instance) -> None:
    Instance.objects.filter(pk=instance.pk).update(failure="The disk is full.")
    main = admin_browser.get(f"/instances/{instance.pk}/settings/").content.decode().split("<main")[1]
    first = main.split("<form")[1].split("</form>")[0]
    assert 'name="mtu"' in first
    assert first.rindex("<button") < first.index(">Save<")


def test_without_the_page_a_fragment_has_no_frame(admin_browser: Client, instance: Instance, client_peer: Peer) -> None:
    for path, target in (
        (f"/instances/{instance.pk}/", "peers"),
        (f"/instances/{instance.pk}/progress/", "progress"),
        (f"/instances/{instance.pk}/activity/", "operations"),
        ("/", "list"),
    ):
        answer = admin_browser.get(path, headers={"HX-Request": "true", "HX-Target": target})
        assert "main" not in read(answer.content.decode()).tags
        assert "HX-Target" in answer["Vary"]


def test_pages_that_are_not_there_say_so_in_the_frame(admin_browser: Client, auditor_browser: Client) -> None:
    missing = admin_browser.get("/nothing/")
    assert missing.status_code == 404
    assert "This page is not here" in missing.content.decode()
    refused = auditor_browser.get("/instances/new/")
    assert refused.status_code == 403
    assert "Only admins can change this." in refused.content.decode()


@pytest.mark.parametrize("tab", ["", "routing/", "firewall/", "settings/", "activity/"])
def test_what_is_offered_to_copy_is_what_profiles_carry(admin_browser: Client, instance: Instance, tab: str) -> None:
    page = admin_browser.get(f"/instances/{instance.pk}/{tab}").content.decode()
    assert 'data-copy="203.0.113.1"' in page
    assert f'data-copy="{instance.full_hostname}"' not in page
    assert "inside the VPN" in page
