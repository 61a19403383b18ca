"""New instance, where: regions with their round trips and the suggestion, on the page as it comes from the server."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.test import Client

from portal.models import Organization
from tests.factories import make_instance, make_region, make_site, make_site_peer
from vpn.choices import Driver, ServerState
from vpn.models import Instance, Region, Server, Site
from vpn.presenters.regions.choice import choose_region
from vpn.presenters.regions.room import rooms

pytestmark = pytest.mark.django_db
PATH = "/instances/new/"
GIVEN = {"name": "Frankfurt", "hostname": "fra", "pool_prefix": "20"}
PLACES = {"Berlin": (52.52, 13.41), "Paris": (48.85, 2.35), "Tokyo": (35.68, 139.69)}
FRANKFURT, SINGAPORE = (50.11, 8.68), (1.35, 103.82)


def add_region(pk: str, name: str, at: tuple[float, float] | tuple[None, None], **columns: Any) -> Region:
    """A region with one server that is ready."""
    values = {"driver": Driver.SSH, "latitude": at[0], "longitude": at[1], **columns}
    region = Region.objects.create(pk=pk, name=name, **values)
    Server.objects.create(region=region, name=pk, address=f"198.51.100.{Region.objects.count()}", capacity=5)
    return region


def add_sites(organization: Organization, *names: str) -> None:
    for name in names:
        site = make_site(organization, name=name)
        Site.objects.filter(pk=site.pk).update(latitude=PLACES[name][0], longitude=PLACES[name][1])


@pytest.fixture
def two_regions(db: None) -> None:
    add_region("fra", "Frankfurt", FRANKFURT)
    add_region("sin", "Singapore", SINGAPORE)


def shown(browser: Client) -> str:
    """The page's words, each tag a space."""
    page = browser.get(PATH)
    assert page.status_code == 200
    return words_of(page.content.decode())


def words_of(page: str) -> str:
    return " ".join(re.sub(r"<[^>]*>", " ", page).split())


def chosen(browser: Client) -> list[str]:
    return re.findall(r'name="region" value="([a-z]+)"[^>]* checked', browser.get(PATH).content.decode())


@pytest.mark.usefixtures("two_regions")
def test_the_region_closest_to_most_sites_is_suggested_with_the_reason(
    admin_browser: Client, organization: Organization
) -> None:
    add_sites(organization, "Berlin", "Paris", "Tokyo")
    words = shown(admin_browser)
    assert (
        "Frankfurt is closest to most sites: half of the 3 with a place are within 11 ms, the farthest (Tokyo) within "
        "144 ms. Next is Singapore: 153 ms for half of them, 165 ms for the farthest."
    ) in words
    assert words.count("Suggested") == 1
    assert "11 ms for half of the sites, 144 ms for the farthest (Tokyo)" in words
    assert "Room for 5 more instances" in words
    assert "Each site from Frankfurt Berlin 10 ms Paris 11 ms Tokyo 144 ms" in words
    assert "4 ms, and 15 ms for each 1,000 km of the great circle" in words
    assert chosen(admin_browser) == ["fra"]


@pytest.mark.usefixtures("two_regions")
def test_the_suggestion_follows_the_sites_and_other_tenants_do_not_count(
    admin_browser: Client, organization: Organization, other_organization: Organization
) -> None:
    add_sites(organization, "Tokyo")
    for number in range(3):
        site = make_site(other_organization, name=f"Secret {number}")
        Site.objects.filter(pk=site.pk).update(latitude=52.52, longitude=13.41)
    words = shown(admin_browser)
    assert "Singapore is closest to Tokyo, the only site with a place: 84 ms. Next is Frankfurt: 144 ms." in words
    assert "Secret" not in words
    assert chosen(admin_browser) == ["sin"]


def test_without_places_a_region_whose_servers_are_ordered_is_not_chosen_by_itself(admin_browser: Client) -> None:
    """Each of those servers is paid for."""
    add_region("aws", "Amazon", (None, None), driver=Driver.CLOUD)
    add_region("fra", "Frankfurt", (None, None))
    assert chosen(admin_browser) == ["fra"]


@pytest.mark.usefixtures("two_regions")
def test_sites_that_do_not_count_are_said_and_listed(admin_browser: Client, organization: Organization) -> None:
    add_sites(organization, "Berlin", "Paris")
    make_site(organization, name="Depot")
    assert "One site does not count: its place is not known. Enter places" in shown(admin_browser)
    assert '<a class="link" href="/sites/?place=unknown">' in admin_browser.get(PATH).content.decode()
    sites = admin_browser.get("/sites/?place=unknown").content.decode()
    assert ("Depot" in sites, "Berlin" in sites) == (True, False)
    assert '<input type="hidden" name="place" value="unknown">' in sites
    add_sites(organization, "Tokyo")
    Site.objects.filter(name="Depot").update(latitude=1, longitude=1)
    assert "Every site has a place that is known." in admin_browser.get("/sites/?place=unknown").content.decode()


@pytest.mark.usefixtures("two_regions")
def test_without_places_nothing_is_suggested_and_the_page_says_why(
    admin_browser: Client, organization: Organization
) -> None:
    assert "There is no site to compare, so no region is suggested." in shown(admin_browser)
    make_site(organization, name="Berlin")
    words = shown(admin_browser)
    assert "No site has a place that is known, so no region is suggested. Enter places" in words
    assert "Suggested" not in words
    assert chosen(admin_browser) == ["fra"]


def test_one_region_alone_is_no_choice(admin_browser: Client, organization: Organization) -> None:
    add_region("fra", "Frankfurt", FRANKFURT)
    add_sites(organization, "Berlin")
    page = admin_browser.get(PATH).content.decode()
    assert '<input type="hidden" name="region" value="fra">' in page
    assert ('type="radio" name="region"' in page, '<svg class="map"' in page, "regions.js" in page) == (False,) * 3
    assert admin_browser.post(PATH, {**GIVEN, "region": "fra"}).status_code == 302
    assert Instance.objects.get().region_id == "fra"


@pytest.mark.usefixtures("two_regions")
def test_closed_regions_come_last_with_the_reason_and_are_not_suggested(
    admin_browser: Client, organization: Organization
) -> None:
    add_sites(organization, "Berlin")
    add_region("par", "Paris region", PLACES["Paris"])
    Region.objects.filter(pk="fra").update(available=False, unavailable_reason="Moved to another hall until Monday.")
    words = shown(admin_browser)
    assert "Frankfurt would be closer, but takes no instances now." in words
    assert words.index("Moved to another hall") > words.rindex("Room for 5 more")
    page = admin_browser.get(PATH).content.decode()
    assert re.search(r'value="fra"[^>]* disabled', page)
    assert chosen(admin_browser) == ["par"]
    refused = admin_browser.post(PATH, {**GIVEN, "region": "fra"}).content.decode()
    assert refused.count("Moved to another hall until Monday.") == 2
    assert not Instance.objects.exists()


@pytest.mark.usefixtures("two_regions")
def test_a_full_region_says_so_and_takes_none(admin_browser: Client, organization: Organization) -> None:
    Server.objects.filter(region="fra").update(capacity=0)
    Server.objects.filter(region="sin").update(capacity=None)
    words = shown(admin_browser)
    assert "Every server of Frankfurt is full." in words
    assert "Room for more" in words
    assert chosen(admin_browser) == ["sin"]
    assert "is full" in admin_browser.post(PATH, {**GIVEN, "region": "fra"}).content.decode()
    assert not Instance.objects.exists()


@pytest.mark.usefixtures("two_regions")
def test_a_cloud_without_room_orders_a_server_first() -> None:
    Region.objects.update(driver=Driver.CLOUD)
    Server.objects.filter(region="sin").update(capacity=0)
    Server.objects.filter(region="fra").update(capacity=1)
    assert rooms(list(Region.objects.all())) == {
        "fra": "Room for 1 more instance",
        "sin": "A server is ordered first, which takes some minutes",
    }


@pytest.mark.usefixtures("two_regions")
def test_a_region_without_a_place_is_listed_without_figures(admin_browser: Client, organization: Organization) -> None:
    make_region()
    add_sites(organization, "Berlin")
    words = shown(admin_browser)
    assert "This machine DE Its place is not known, so nothing is expected." in words
    assert words.index("This machine DE") > words.index("Room for 5 more instances")


@pytest.mark.usefixtures("two_regions")
def test_what_was_chosen_stays_chosen_when_the_form_is_refused(
    admin_browser: Client, organization: Organization
) -> None:
    add_sites(organization, "Berlin")
    page = admin_browser.post(PATH, {**GIVEN, "name": "ab", "region": "sin"}).content.decode()
    assert re.findall(r'name="region" value="([a-z]+)"[^>]* checked', page) == ["sin"]
    nothing = admin_browser.post(PATH, {**GIVEN, "region": ""}).content.decode()
    assert "Choose where the hub runs." in nothing


@pytest.mark.usefixtures("two_regions")
def test_names_are_escaped_in_the_list_and_on_the_map(admin_browser: Client, organization: Organization) -> None:
    Region.objects.filter(pk="fra").update(name="<b>Frankfurt</b>")
    add_sites(organization, "Berlin")
    Site.objects.update(name="<i>Berlin</i>")
    page = admin_browser.get(PATH).content
    assert b"<b>Frankfurt" not in page
    assert b"<i>Berlin" not in page


PROBE = "https://ping.example.com:8443/tiny.txt?a=1"


def sources(answer: Any) -> str:
    """What scripts of this page may fetch."""
    policy: dict[str, str] = dict(part.strip().split(" ", 1) for part in answer["Content-Security-Policy"].split(";"))
    return policy["connect-src"]


@pytest.mark.usefixtures("two_regions")
def test_the_policy_is_opened_for_exactly_the_regions_to_measure_and_on_this_page_alone(
    admin_browser: Client, organization: Organization
) -> None:
    assert sources(admin_browser.get(PATH)) == "'self'"
    Region.objects.filter(pk="fra").update(probe_url=PROBE)
    page = admin_browser.get(PATH)
    assert sources(page) == "'self' https://ping.example.com:8443"
    assert page.content.decode().count(f'data-probe="{PROBE}"') == 1
    assert sources(admin_browser.post(PATH, {**GIVEN, "name": "ab"})) == "'self' https://ping.example.com:8443"
    for other in ("/", "/sites/", "/instances/new/hostname/"):
        assert sources(admin_browser.get(other)) == "'self'"
    Region.objects.filter(pk="fra").update(available=False)
    assert sources(admin_browser.get(PATH)) == "'self'"


@pytest.mark.parametrize("already", [0, 1])
def test_queries_grow_neither_with_sites_nor_with_regions(
    admin_browser: Client, organization: Organization, django_assert_num_queries: Any, already: int
) -> None:
    for number in range(2 + 10 * already):
        add_region(f"r{number}", f"Region {number}", (number, number), probe_url="")
        make_instance(organization, name=f"Hub {number}")
    Site.objects.bulk_create(
        Site(organization=organization, name=f"S{number}", latitude=number / 9, longitude=number / 7)
        for number in range(3 + 50 * already)
    )
    admin_browser.get(PATH)
    with django_assert_num_queries(QUERIES):
        admin_browser.get(PATH)


# Session, user with membership; regions; sites; servers.
QUERIES = 5


def test_ten_thousand_sites_leave_the_page_small(admin_browser: Client, organization: Organization) -> None:
    for number in range(20):
        add_region(f"r{number}", f"Region {number}", (number * 4 - 30, number * 17 - 170))
    Site.objects.bulk_create(
        Site(organization=organization, name=f"Branch {n:05}", latitude=(n % 997) / 9 - 50, longitude=n / 28 - 179)
        for n in range(10_000)
    )
    page = admin_browser.get(PATH).content.decode()
    assert page.count("map__site") <= 150
    assert "half of the 10,000 with a place" in page
    assert "more sites in between" in page
    assert "count as one point" in page
    assert "<summary>13 more regions</summary>" in page
    assert len(page) < 120_000


def test_a_region_among_many_that_was_chosen_is_in_view(admin_browser: Client) -> None:
    for number in range(9):
        add_region(f"r{number}", f"Region {number}", (None, None))
    assert '<details class="more">' in admin_browser.get(PATH).content.decode().partition("</fieldset>")[0]
    page = admin_browser.post(PATH, {**GIVEN, "name": "ab", "region": "r8"}).content.decode()
    assert '<details class="more" open>' in page.partition("</fieldset>")[0]


@pytest.mark.usefixtures("two_regions")
def test_the_region_of_a_hub_that_moves_is_listed_last_and_not_suggested(organization: Organization) -> None:
    add_sites(organization, "Tokyo")
    choice = choose_region(list(Region.objects.with_room()), Site.objects.all(), current="fra")
    assert [(row.region.pk, row.closed, row.is_suggested, row.is_chosen) for row in choice.rows] == [
        ("sin", "", True, True),
        ("fra", "The hub is here now.", False, False),
    ]
    assert choice.reason == "Singapore is closest to Tokyo, the only site with a place: 84 ms."
    stays = choose_region(list(Region.objects.with_room()), Site.objects.all(), current="sin")
    assert [(row.region.pk, row.is_suggested) for row in stays.rows] == [("fra", False), ("sin", False)]
    assert stays.reason == (
        "Singapore, where the hub is now, is closest to Tokyo, the only site with a place: 84 ms. Next is Frankfurt: "
        "144 ms."
    )


@pytest.mark.usefixtures("two_regions")
def test_the_page_that_moves_a_hub_compares_for_its_own_sites(
    admin_browser: Client, organization: Organization
) -> None:
    add_sites(organization, "Berlin", "Tokyo")
    make_region()
    Region.objects.filter(pk="local").update(latitude=48.85, longitude=2.35)
    Region.objects.filter(pk="sin").update(probe_url=PROBE)
    instance = make_instance(organization)
    make_site_peer(instance, Site.objects.get(name="Tokyo"))
    page = admin_browser.get(f"/instances/{instance.pk}/move/")
    words = words_of(page.content.decode())
    assert "Singapore is closest to Tokyo, the only site with a place: 84 ms. Next is Frankfurt: 144 ms." in words
    assert "The hub is here now. 150 ms to Tokyo" in words
    assert sources(page) == "'self' https://ping.example.com:8443"
    wrong = admin_browser.post(f"/instances/{instance.pk}/move/", {"region": "local"}).content.decode()
    assert "Choose one of the regions below." in wrong


@pytest.mark.usefixtures("two_regions")
def test_a_server_that_takes_nothing_does_not_count_as_room(admin_browser: Client) -> None:
    Server.objects.filter(region="sin").update(state=ServerState.UNREACHABLE)
    words = shown(admin_browser)
    assert "Singapore has no server that is ready." in words
    assert words.count("Room for 5 more instances") == 1
