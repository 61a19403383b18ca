"""The choice of a region in a browser: figures, the map, what this browser measured; with and without JavaScript."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from playwright.sync_api import Page, expect

from portal.models import Organization
from tests.browser.conftest import Camera
from tests.factories import an_admin, make_instance, make_organization, make_site, make_site_peer
from vpn.choices import Driver
from vpn.models import Region, Server, Site

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
REGIONS = {
    "fra": ("Frankfurt", "DE", 50.11, 8.68),
    "nyc": ("New York", "US", 40.71, -74.01),
    "sin": ("Singapore", "SG", 1.35, 103.82),
    "syd": ("Sydney", "AU", -33.87, 151.21),
}
SITES = {"Berlin": (52.52, 13.41), "Paris": (48.85, 2.35), "Madrid": (40.42, -3.7), "Tokyo": (35.68, 139.69)}


class _Tiny(BaseHTTPRequestHandler):
    """A tiny object on a server of a region."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer with one byte."""
        told = [name for name in ("Cookie", "Referer") if name in self.headers]
        self.server.asked.append(" ".join([self.path, *told]))  # type: ignore[attr-defined]
        self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n.")

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@pytest.fixture
def tiny() -> Iterator[ThreadingHTTPServer]:
    """A server on this machine that has the object; `asked` are the paths that were fetched, and what was told."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Tiny)
    server.asked = []  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def acme(tiny: ThreadingHTTPServer) -> Organization:
    """An organization with sites, on a portal with four regions: two to measure, one of those does not answer."""
    organization = make_organization("Acme")
    for number, (pk, (name, country, latitude, longitude)) in enumerate(REGIONS.items(), 1):
        region = Region.objects.create(
            pk=pk, name=name, country=country, latitude=latitude, longitude=longitude, driver=Driver.SSH
        )
        Server.objects.create(region=region, name=pk, address=f"198.51.100.{number}", capacity=number * 10)
    Region.objects.filter(pk="fra").update(probe_url=f"http://127.0.0.1:{tiny.server_port}/tiny.txt")
    # No program listens on port 1.
    Region.objects.filter(pk="nyc").update(probe_url="http://127.0.0.1:1/tiny.txt")
    Region.objects.filter(pk="syd").update(available=False, unavailable_reason="Opens in spring.")
    for name, (latitude, longitude) in SITES.items():
        site = make_site(organization, name=name)
        Site.objects.filter(pk=site.pk).update(place=name, latitude=latitude, longitude=longitude)
    return organization


def test_the_choice_is_measured_marked_and_accessible(
    visit: Callable[..., Page], acme: Organization, tiny: ThreadingHTTPServer
) -> None:
    page = visit(an_admin(acme).user)
    camera = Camera(page)
    page.goto("/instances/new/")
    frankfurt, singapore = (page.get_by_role("radio", name=name, exact=True) for name in ("Frankfurt", "Singapore"))
    expect(frankfurt).to_be_checked()
    expect(frankfurt).to_have_accessible_description(
        re.compile(r"11 ms for half of the sites, 144 ms for the farthest \(Tokyo\) Room for 10 more instances")
    )
    expect(page.locator(".regions")).to_contain_text("Frankfurt is closest to most sites")
    measured = page.locator("[data-region=Frankfurt]")
    expect(measured).to_contain_text("ms measured from this browser")
    expect(page.locator("[data-region='New York']")).to_have_text("No answer to this browser")
    expect(page.locator("#announcements")).to_contain_text("Frankfurt")
    asked = tiny.asked  # type: ignore[attr-defined]
    assert set(asked) == {"/tiny.txt"}
    assert len(asked) >= 5  # A browser may repeat a request whose connection was closed.
    expect(page.get_by_role("radio", name="Sydney")).to_be_disabled()
    page.locator("summary", has_text="Each site").first.click()
    expect(page.locator(".region__trips").first).to_contain_text("Madrid")
    camera.look("regions")
    expect(page.locator("[data-mark=fra]")).to_have_attribute("data-chosen", "")
    singapore.check()
    expect(page.locator("[data-mark=sin]")).to_have_attribute("data-chosen", "")
    expect(page.locator("[data-mark=fra]")).not_to_have_attribute("data-chosen", "")
    assert [one for one in camera.complaints if "ERR_" not in one] == []


def test_without_javascript_the_list_says_all_but_the_measurement(
    visit: Callable[..., Page], acme: Organization
) -> None:
    page = visit(an_admin(acme).user, java_script_enabled=False)
    page.goto("/instances/new/")
    expect(page.get_by_role("radio", name="Frankfurt", exact=True)).to_be_checked()
    expect(page.locator(".regions")).to_contain_text("for half of the sites")
    expect(page.locator("[data-region=Frankfurt]")).to_be_hidden()
    page.get_by_role("radio", name="Singapore").check()
    page.get_by_label("Name", exact=True).fill("Asia")
    page.get_by_label("Hostname", exact=True).fill("asia")
    page.get_by_role("button", name="Create instance").click()
    page.wait_for_url("**/progress/")
    expect(page.get_by_role("heading", level=1)).to_contain_text("Asia")


def test_the_page_that_moves_a_hub_has_the_same_choice(visit: Callable[..., Page], acme: Organization) -> None:
    instance = make_instance(acme)
    Region.objects.filter(pk="local").update(latitude=48.85, longitude=2.35)
    for site in Site.objects.filter(name__in=["Tokyo", "Berlin"]):
        make_site_peer(instance, site)
    page = visit(an_admin(acme).user)
    camera = Camera(page)
    page.goto(f"/instances/{instance.pk}/move/")
    expect(page.locator("[data-region=Frankfurt]")).to_contain_text("ms measured from this browser")
    expect(page.get_by_role("radio", name="Frankfurt")).to_be_checked()
    expect(page.get_by_role("radio", name="This machine")).to_be_disabled()
    camera.look("move")
    assert [one for one in camera.complaints if "ERR_" not in one] == []


def test_a_place_of_several_towns_is_chosen(visit: Callable[..., Page], acme: Organization) -> None:
    page = visit(an_admin(acme).user)
    camera = Camera(page)
    page.goto("/sites/new/")
    page.get_by_label("Name", exact=True).fill("Depot")
    page.get_by_label("Place").fill("Springfield")
    page.get_by_role("button", name="Add site").click()
    expect(page.get_by_text("Choose one below")).to_be_visible()
    camera.look("site-place")
    page.get_by_label("Springfield, Illinois, United States").check()
    page.get_by_role("button", name="Add site").click()
    expect(page.get_by_role("heading", name="Depot", level=1)).to_be_visible()
    expect(page.locator(".page-head__facts")).to_contain_text("Springfield, Illinois, United States")
    assert camera.complaints == []
