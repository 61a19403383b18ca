"""One running portal for many stories: each has an organization of its own there, and leaves no hub behind.

A start takes some twenty seconds of processor time, an idle portal one second a minute. So each process of pytest keeps
one, from its first story until it ends. Stories that change the server or read what belongs to all start their own.
"""

from __future__ import annotations

import html
import itertools
import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import Final, Self
from urllib.parse import urljoin, urlsplit

import pytest

from tests.lab.bind import Bind
from tests.lab.lab import Lab
from tests.lab.relay import relayed
from tests.lab.waiting import wait_until
from tests.mail_server import MailServer, serving_mail
from tests.running_portal import ADMIN_PASSWORD, RunningPortal
from tests.visitor import Visitor

# Deleting takes a second; the machine may be busy.
_DELETED_WITHIN: Final = 60.0
_numbers = itertools.count(1)


@dataclass(frozen=True)
class Tenant:
    """An organization on a running portal, as its admin knows it."""

    portal: RunningPortal
    email: str
    # Where the portal's mail goes; without one it shows links to who asks for them.
    mail: MailServer | None
    _logged: Mapping[str, int]
    password: str = ADMIN_PASSWORD

    @classmethod
    def invited(cls, portal: RunningPortal, mail: MailServer | None = None) -> Self:
        """A new organization: staff add it, and its admin comes in by the link."""
        number, logged = next(_numbers), portal.logged()
        email = f"admin@story{number}.example.org"
        values = {"name": f"Story {number}", "slug": f"story-{number}", "admin_email": email}
        with portal.visitor() as staff, Visitor(portal.url) as admin:
            page = staff.submit("/admin/portal/organization/add/", values).text
            links = [mail.link_for(email)] if mail else re.findall(r"/accounts/link/[^\s<]+", html.unescape(page))
            assert links, page
            admin.get(urlsplit(links[0]).path)
            admin.submit("/accounts/link/", dict.fromkeys(("password1", "password2"), ADMIN_PASSWORD))
        return cls(portal, email, mail, logged)

    def visitor(self) -> Visitor:
        """The admin's browser, signed in."""
        return self.portal.visitor(self.email, self.password)

    def logs(self) -> str:
        """What the processes have logged since the organization was made."""
        return self.portal.logs(self._logged)

    def delete_instances(self) -> None:
        """Delete every instance of the organization, and wait until the hubs are gone."""
        with self.visitor() as admin:
            paths = set(re.findall(r'"(/instances/[0-9a-f-]{36}/)"', admin.get("/").text))
            for path in paths:
                admin.submit(f"{path}delete/", action=f"{path}delete/")
            for path in paths:
                gone = partial(_is_gone, admin, path)
                wait_until(gone, _DELETED_WITHIN, "the end of the story's hubs", self.logs)


def _is_gone(admin: Visitor, path: str) -> bool:
    return admin.http.get(urljoin(admin.base, path)).status_code == 404


@dataclass
class SharedPortal:
    """A laboratory with a portal on its host; one that a story left with hubs, or broken, is replaced."""

    # Is there a mail server? If not, staff read the mail.
    is_mailing: bool = False
    mail: MailServer | None = None
    _stack: ExitStack = field(default_factory=ExitStack)
    _running: tuple[Lab, RunningPortal] | None = None

    def running(self) -> tuple[Lab, RunningPortal]:
        """The laboratory and the portal, which is healthy."""
        if self._running is None:
            self._running = self._start(self._stack)
        try:
            self._running[1].await_healthy()
        except BaseException:
            self.close()
            raise
        return self._running

    def close(self) -> None:
        """End both."""
        self._running = None
        self._stack.close()

    def _start(self, stack: ExitStack) -> tuple[Lab, RunningPortal]:
        lab = stack.enter_context(Lab())
        environment = {}
        if self.is_mailing:
            self.mail = stack.enter_context(serving_mail())
            environment["EMAIL_URL"] = self.mail.url
        return lab, stack.enter_context(RunningPortal.of_story(lab.host.netns, lab.host.v4, **environment))


@dataclass
class PublishingPortal(SharedPortal):
    """One that publishes names in a real BIND, by which the laboratory's machines resolve."""

    # One name in the zone is another's.
    bind: Bind = field(default_factory=partial(Bind, records="taken A 192.0.2.9"))

    def _start(self, stack: ExitStack) -> tuple[Lab, RunningPortal]:
        stack.enter_context(self.bind)
        lab = stack.enter_context(Lab())
        stack.enter_context(relayed(lab.outside, self.bind.address, self.bind.port))
        addresses = f"{lab.host.v4},{lab.host.v6}"
        return lab, stack.enter_context(RunningPortal.of_story(lab.host.netns, addresses, **self.bind.settings()))


@pytest.fixture(scope="session")
def shared_portal() -> Iterator[SharedPortal]:
    """What the stories of this process of pytest share."""
    shared = SharedPortal(is_mailing=True)
    yield shared
    shared.close()


@pytest.fixture(scope="module")
def stage(request: pytest.FixtureRequest, shared_portal: SharedPortal) -> Iterator[SharedPortal]:
    """Where a story takes place: what others share, or what is its own if a mark of the module says so."""
    kinds = {"own_portal": SharedPortal, "publishing_portal": PublishingPortal}
    own = next((kind() for mark, kind in kinds.items() if request.node.get_closest_marker(mark)), None)
    yield own or shared_portal
    if own is not None:
        own.close()


@pytest.fixture(scope="module")
def bind(portal: RunningPortal, stage: SharedPortal) -> Bind:
    """The DNS server in which the portal of a story publishes that is marked `publishing_portal`."""
    assert isinstance(stage, PublishingPortal)
    return stage.bind


@pytest.fixture(scope="module")
def lab(stage: SharedPortal) -> Iterator[Lab]:
    """Namespaces that play host, internet, clients and sites; what a story adds goes with it."""
    laboratory, _ = stage.running()
    with laboratory.visited():
        yield laboratory


@pytest.fixture(scope="module")
def portal(lab: Lab, stage: SharedPortal) -> Iterator[RunningPortal]:
    """The portal's real processes, with the laboratory's host for its hubs; other stories may have been there."""
    yield stage.running()[1]
    if lab.hubs():
        stage.close()


@pytest.fixture(scope="module")
def tenant(portal: RunningPortal, stage: SharedPortal) -> Iterator[Tenant]:
    """The story's own organization, whose hubs are deleted at its end."""
    made = Tenant.invited(portal, stage.mail)
    yield made
    made.delete_instances()
