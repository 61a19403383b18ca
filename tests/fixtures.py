"""Fixtures made of tests.factories; loaded once Django is set up."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.core.cache import cache
from django.test import Client
from pytest_django import Settings
from redis import ConnectionError as RedisConnectionError
from redis import Redis

from portal.models import Membership, Organization, Role, User
from portal.web.sessions import digest_of
from tests import factories
from tests.lab.waiting import wait_until
from tests.mail_server import MailServer, serving_mail
from vpn.models import Instance, Peer, Region, Site


@pytest.fixture
def organization(db: None) -> Organization:
    """An organization with one admin."""
    return factories.make_organization("Acme")


@pytest.fixture
def other_organization(db: None) -> Organization:
    """Another tenant, with one admin."""
    return factories.make_organization("Other")


@pytest.fixture
def admin(organization: Organization) -> Membership:
    """The organization's admin."""
    return factories.an_admin(organization)


@pytest.fixture
def auditor(organization: Organization) -> Membership:
    """The organization's auditor."""
    return factories.make_member(organization, Role.AUDITOR)


@pytest.fixture
def member(organization: Organization) -> Membership:
    """A plain member of the organization."""
    return factories.make_member(organization)


@pytest.fixture
def stranger(other_organization: Organization) -> Membership:
    """The admin of the other organization."""
    return factories.an_admin(other_organization)


@pytest.fixture
def staff(db: None) -> User:
    """The portal's operator, who belongs to no organization."""
    return factories.make_user("staff@example.org", is_staff=True)


@pytest.fixture
def mail_server() -> Iterator[MailServer]:
    """A mail server of this test's own."""
    with serving_mail() as server:
        yield server


def signed_in(user: User) -> Client:
    """A browser in which somebody signed in."""
    browser = Client()
    browser.force_login(user)
    # As after its first page: tests count what a page itself asks of the database.
    cache.set(f"seen:{digest_of(browser.cookies['sessionid'].value)}", 1)
    return browser


@pytest.fixture
def admin_browser(admin: Membership) -> Client:
    """The admin's browser."""
    return signed_in(admin.user)


@pytest.fixture
def auditor_browser(auditor: Membership) -> Client:
    """The auditor's browser."""
    return signed_in(auditor.user)


@pytest.fixture
def member_browser(member: Membership) -> Client:
    """The plain member's browser."""
    return signed_in(member.user)


@pytest.fixture
def stranger_browser(stranger: Membership) -> Client:
    """The browser of another organization's admin."""
    return signed_in(stranger.user)


@pytest.fixture
def staff_browser(staff: User) -> Client:
    """The operator's browser."""
    return signed_in(staff)


@pytest.fixture
def region(db: None) -> Region:
    """The region of this machine."""
    return factories.make_region()


@pytest.fixture
def instance(organization: Organization) -> Instance:
    """A ready instance."""
    return factories.make_instance(organization)


@pytest.fixture
def site(organization: Organization) -> Site:
    """A branch."""
    return factories.make_site(organization, name="Berlin")


@pytest.fixture
def client_peer(instance: Instance, member: Membership) -> Peer:
    """The plain member's device."""
    return factories.make_client_peer(instance, member)


@pytest.fixture
def site_peer(instance: Instance, site: Site) -> Peer:
    """The branch's router."""
    return factories.make_site_peer(instance, site, ["10.1.0.0/24"])


@pytest.fixture
def redis(tmp_path: Path, settings: Settings) -> Iterator[Redis]:
    """A Redis of this test's own."""
    socket = tmp_path / "redis.sock"
    command = ["redis-server", "--port", "0", "--unixsocket", str(socket), "--save", "", "--dir", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as server:
        try:
            connection = Redis(unix_socket_path=str(socket))
            wait_until(lambda: _answers(connection), 30, "Redis")
            for name in settings.RQ_QUEUES:
                settings.RQ_QUEUES[name]["URL"] = f"unix://{socket}"
            yield connection
        finally:
            server.terminate()


def _answers(connection: Redis) -> bool:
    """Does it answer? Its socket is there a moment before."""
    try:
        return bool(connection.ping())
    except RedisConnectionError:
        return False
