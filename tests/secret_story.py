"""A story in which every secret of the portal comes up once, with everything that it left behind.

Used by tests/test_secrets_stay_sealed.py.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from django.db import connection
from django.test import Client
from django.urls import reverse

from portal.models import ApiToken, Membership
from tests.factories import PASSWORD, make_region, make_site, make_site_peer, settle
from vpn.models import Instance, Peer

BASE = "/api/v1/vpn"
Commit = Callable[..., Any]


@dataclass
class Story:
    """The secrets, by name, and where the portal spoke."""

    secrets: dict[str, str] = field(default_factory=dict)
    addresses: list[str] = field(default_factory=list)
    json_answers: list[str] = field(default_factory=list)
    profile: str = ""
    instance: Instance = field(default_factory=Instance)
    client_peer: Peer = field(default_factory=Peer)
    site_peer: Peer = field(default_factory=Peer)

    def keep(self, response: Any) -> Any:
        """Remember the addresses that the test client's response was asked at and leads to."""
        self.addresses.append(response.wsgi_request.get_full_path())
        self.addresses.append(response.headers.get("Location", ""))
        return response


def tell(admin: Membership, member: Membership, commit: Commit) -> Story:
    """Sign in, create a hub, add peers, hand out profiles by page and by share token, rotate, read everything."""
    story, browser = Story(), Client()
    with commit(execute=True):
        _on_pages(story, browser, admin, member)
        _over_the_api(story, admin, member)
    _collect(story)
    return story


def found_in(text: str, secrets: dict[str, str]) -> list[str]:
    """Which secrets a text gives away, by name."""
    return [name for name, value in secrets.items() if value in text]


def database_dump() -> str:
    """Every value of every table, as text."""
    lines = []
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f"SELECT * FROM {connection.ops.quote_name(table)}")  # noqa: S608 - a table's own name
            lines += [f"{table}: {row!r}" for row in cursor.fetchall()]
    return "\n".join(lines)


def _on_pages(story: Story, browser: Client, admin: Membership, member: Membership) -> None:
    story.secrets["password"] = PASSWORD
    make_region()
    story.keep(browser.post("/accounts/login/", {"login": admin.user.email, "password": PASSWORD}))
    form = {"name": "Frankfurt", "hostname": "frankfurt", "region": "local", "pool_prefix": "20"}
    story.keep(browser.post(reverse("instance_new"), form))
    story.instance = settle(Instance.objects.get(hostname="frankfurt"))
    device = {"user_id": str(member.pk), "device": "laptop", "route_all": "false", "protocol": "wireguard"}
    story.keep(browser.post(reverse("client_peer_new", args=[story.instance.pk]), device))
    story.site_peer = make_site_peer(story.instance, make_site(admin.organization))
    settle(story.instance)
    story.client_peer = Peer.objects.get(member=member)
    reveal = story.keep(browser.post(reverse("peer_profile", args=[story.client_peer.pk]), {"download": "1"}))
    story.profile = reveal.content.decode()


def _over_the_api(story: Story, admin: Membership, member: Membership) -> None:
    _, token = ApiToken.issue(admin)
    story.secrets["API token"] = token
    program = Client(headers={"Authorization": f"Bearer {token}"})
    instance, peer = f"{BASE}/instances/{story.instance.pk}", story.client_peer.pk
    made = story.keep(
        program.post(
            f"{instance}/peers/{peer}/token", content_type="application/json", headers={"Idempotency-Key": "a"}
        )
    )
    story.secrets["share token"] = made.json()["token"]
    for path in _READ:
        response = story.keep(program.get(BASE + path.format(instance=story.instance.pk, peer=peer, user=member.pk)))
        assert response.status_code == 200, path
        story.json_answers.append(response.content.decode())
    phone = {"type": "client", "protocol": "wireguard", "user_id": str(member.pk), "route_all": True, "device": "phone"}
    added = story.keep(
        program.post(f"{instance}/peers", phone, content_type="application/json", headers={"Idempotency-Key": "b"})
    )
    assert added.status_code == 201
    story.json_answers.append(added.content.decode())
    settle(story.instance)
    rotated = story.keep(program.post(f"{instance}/peers/{story.site_peer.pk}/rotate", content_type="application/json"))
    assert rotated.status_code == 200
    story.json_answers.append(rotated.content.decode())
    story.secrets["share token of a rotated peer"] = rotated.json()["token"]
    share = {"Authorization": f"Bearer {story.secrets['share token']}"}
    fetched = story.keep(Client().get(f"{BASE}/client", headers=share))
    assert fetched.content.decode() == story.profile


_READ = (
    "/servers/regions",
    "/instances",
    "/instances/{instance}",
    "/instances/{instance}/operations",
    "/instances/{instance}/bandwidth",
    "/instances/{instance}/peers",
    "/instances/{instance}/peers/{peer}",
    "/sites",
    "/users",
    "/users/{user}",
)


def _collect(story: Story) -> None:
    story.instance.refresh_from_db()
    story.secrets["key of the hub"] = story.instance.private_key
    for number, peer in enumerate(Peer.objects.all()):
        story.secrets[f"private key of peer {number}"] = peer.private_key
        story.secrets[f"preshared key of peer {number}"] = peer.preshared_key
    assert all(len(value) > 15 for value in story.secrets.values())
