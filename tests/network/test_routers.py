"""A Linux router enrols with the line that the page shows, and follows: the portal, the hub and the tunnel are real."""

from __future__ import annotations

import html
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from django.conf import LazySettings
from django.test import Client
from pytest_django.live_server_helper import LiveServer

from portal.models import Membership
from tests.factories import BY, make_client_peer, make_instance, make_site, make_site_peer
from tests.fixtures import signed_in
from tests.lab.lab import Lab
from tests.lab.nodes import Site
from tests.lab.own import lab
from tests.lab.tls import behind_tls
from tests.secret_story import database_dump
from vpn.actions.peers.peer import delete_peer
from vpn.drivers.local import LocalDriver
from vpn.jobs.apply import apply_instance
from vpn.models import Instance, Peer, Router, Server
from vpn.profiles.plain_file import render_profile

__all__ = ["lab"]
pytestmark = [pytest.mark.network, pytest.mark.django_db(transaction=True)]

# On a busy machine.
PATIENCE = 120.0


class Branch:
    """A site's router with the files of its follower, and the hub that the portal applies."""

    def __init__(self, lab: Lab, site: Site, peer: Peer, certificate: Path) -> None:
        self.lab, self.site, self.peer = lab, site, peer
        self.files = lab.directory / site.router.name / "etc"
        self.device = f"vpn_{peer.pk.hex[:8]}"
        self.environment = {
            "VPN_PORTAL_DIR": str(self.files),
            "VPN_PORTAL_RUN": str(lab.directory / site.router.name / "run"),
            "VPN_PORTAL_SCHEDULE": "no",
            "CURL_CA_BUNDLE": str(certificate),
        }

    def argv(self, line: str, **more: str) -> list[str]:
        """A line of the router's shell."""
        environment = [f"{name}={value}" for name, value in (self.environment | more).items()]
        return self.lab.argv(self.site.router, ["env", *environment, "sh", "-c", line])

    def enrol(self, line: str) -> str:
        """Paste the line, and then let the hub get the key. Returns what the router said."""
        # Not at once: the test's database has one writer at a time, and refuses the others.
        pasted = subprocess.run(
            self.argv(line, VPN_PORTAL_ROLLBACK_SECONDS="0"),
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert pasted.returncode == 0, pasted.stderr
        self.apply()
        return pasted.stderr

    def follow(self, **more: str) -> str:
        """What the schedule runs once a minute."""
        self.environment.pop("CURL_CA_BUNDLE", None)  # enrolling kept it
        done = subprocess.run(
            self.argv(f"sh {self.files}/follow run {self.device}", **more),
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stderr

    def apply(self) -> None:
        """Let the worker's job bring the hub up to date."""
        apply_instance(str(self.peer.instance_id))
        instance = Instance.objects.get(pk=self.peer.instance_id)
        assert instance.applied_generation == instance.desired_generation, instance.failure

    def received(self) -> int:
        """Bytes that came from the hub; a session that began anew counts from nothing."""
        return int(self.lab.run(self.site.router, ["wg", "show", self.device, "transfer"]).stdout.split()[1])

    def routes(self) -> str:
        """The routes into the tunnel."""
        return self.lab.run(self.site.router, ["ip", "route", "show", "dev", self.device], check=False).stdout


@pytest.fixture
def browser(
    lab: Lab, live_server: LiveServer, settings: LazySettings, admin: Membership, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Client]:
    """The admin's browser; jobs run where the test says so, with the agent on the laboratory's host."""
    settings.PUBLIC_URL, settings.ALLOWED_HOSTS = f"https://{lab.outside.v4}", ["*"]
    settings.HUB_STATE_DIR, settings.HUB_HOST_NETNS = lab.state, lab.host.netns
    monkeypatch.setattr("vpn.doorbell._enqueue", lambda *_, **__: None)
    driver = LocalDriver()
    for module in ("vpn.jobs.apply", "vpn.jobs.ahead"):
        monkeypatch.setattr(f"{module}.driver_for", lambda _name: driver)
    yield signed_in(admin.user)
    driver.close()


@pytest.fixture
def certificate(lab: Lab, live_server: LiveServer) -> Iterator[Path]:
    """The certificate of the portal, which the laboratory's machines reach over TLS alone."""
    address = urlsplit(live_server.url)
    with behind_tls(lab.outside, (str(address.hostname), int(address.port or 0)), lab.directory) as file:
        yield file


@pytest.fixture
def branch(lab: Lab, browser: Client, admin: Membership, certificate: Path) -> Branch:
    """A branch whose router has no tunnel yet, and a second LAN that nobody told the portal about."""
    site = lab.add_site("berlin", lan_v4="10.1.0.0/24")
    instance = make_instance(admin.organization)
    Server.objects.update(address=lab.host.v4)
    peer = make_site_peer(instance, make_site(admin.organization, name="Berlin"), [site.lan_v4])
    return Branch(lab, site, peer, certificate)


def line_of(browser: Client, peer: Peer, program: str) -> str:
    """The line that the page shows for a program."""
    page = browser.post(f"/peers/{peer.pk}/enrol/").content.decode()
    found = re.search(rf'<textarea[^>]* id="line-{program}"[^>]*>([^<]+)</textarea>', page)
    assert found, page
    return html.unescape(found[1])


def test_a_router_enrols_follows_goes_back_and_ends(
    lab: Lab, browser: Client, branch: Branch, admin: Membership
) -> None:
    peer, lan = branch.peer, branch.site.lan
    shed = lab.add_behind(branch.site.router, "shed")
    laptop, laptop_peer = lab.add_client("laptop"), make_client_peer(peer.instance, admin)

    # One line, and the laptop reaches the LAN.
    said = branch.enrol(line_of(browser, peer, "curl"))
    assert "enrolled" in said
    secret = (branch.files / branch.device / "key").read_text()
    assert secret.strip() not in database_dump()
    modes = {path.stat().st_mode & 0o777 for path in branch.files.rglob("*") if path.is_file()}
    assert modes == {0o600}
    laptop_peer.refresh_from_db()
    lab.wg_quick_up(laptop, render_profile(laptop_peer).content)
    lab.wait_ping(laptop, lan.v4, seconds=60)
    assert "Up to date" in browser.get(f"/peers/{peer.pk}/").content.decode()

    # What it reported is advertised once the admin ticks it.
    network = re.sub(r"\d+$", "0/24", shed.v4)
    assert not lab.ping(laptop, shed.v4)
    browser.post(f"/peers/{peer.pk}/router/subnets/", {"subnet": network})
    branch.apply()
    lab.wg_quick_down(laptop)
    lab.wg_quick_up(laptop, render_profile(Peer.objects.get(pk=laptop_peer.pk)).content)
    lab.wait_ping(laptop, shed.v4, seconds=60)

    # Another site comes and goes; the tunnel stays.
    before = branch.received()
    paris = make_site_peer(peer.instance, make_site(admin.organization, name="Paris"), ["10.2.0.0/24"])
    branch.apply()
    branch.follow()
    assert "10.2.0.0/24" in branch.routes()
    delete_peer(paris, by=BY)
    branch.apply()
    branch.follow()
    assert "10.2.0.0/24" not in branch.routes()
    assert branch.received() >= before > 0
    lab.wait_ping(laptop, lan.v4, seconds=60)

    # A configuration that breaks the tunnel is taken back, and not offered again.
    Server.objects.update(address="203.0.113.222")
    assert "back to the former one" in branch.follow(VPN_PORTAL_ROLLBACK_SECONDS="3")
    lab.wait_ping(laptop, lan.v4, seconds=60)
    assert "The hub did not answer with the new configuration." in browser.get(f"/peers/{peer.pk}/").content.decode()
    assert "new configuration" not in branch.follow()
    Server.objects.update(address=lab.host.v4)
    branch.follow()
    assert "Up to date" in browser.get(f"/peers/{peer.pk}/").content.decode()

    # It comes up again after a reboot, and goes down when it is revoked.
    lab.run(branch.site.router, ["ip", "link", "delete", branch.device])
    branch.follow()
    lab.wait_ping(laptop, lan.v4, seconds=60)
    browser.post(f"/peers/{peer.pk}/router/revoke/")
    assert "its tunnel goes down" in branch.follow()
    assert branch.device not in lab.run(branch.site.router, ["ip", "-o", "link"]).stdout
    assert not (branch.files / branch.device).exists()


def test_a_router_without_curl_enrols_with_wget(browser: Client, branch: Branch, certificate: Path) -> None:
    line = line_of(browser, branch.peer, "wget").replace("wget ", f"wget --ca-certificate={certificate} ", 1)
    # A folder with all programs but curl.
    programs = branch.lab.directory / "programs"
    programs.mkdir()
    for folder in ("/usr/sbin", "/usr/bin", "/usr/local/bin", "/usr/local/sbin", "/bin", "/sbin"):
        for program in Path(folder).glob("*"):
            if program.name != "curl" and not (programs / program.name).exists():
                (programs / program.name).symlink_to(program)
    assert "enrolled" in branch.enrol(f"export PATH={programs}; {line}")
    assert Router.objects.get().checked_in_at is not None


def test_a_router_that_does_not_trust_the_portal_tells_it_nothing(browser: Client, branch: Branch) -> None:
    del branch.environment["CURL_CA_BUNDLE"]
    done = subprocess.run(
        branch.argv(line_of(browser, branch.peer, "curl")),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert "certificate" in done.stderr
    assert Router.objects.get().enrolled_at is None
