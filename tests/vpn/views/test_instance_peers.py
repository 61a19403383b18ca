"""An instance's first page: its peers."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from portal.models import Membership, Organization
from tests.factories import BY, make_client_peer, make_site, make_site_peer, observe_hubs, observe_peers, settle
from vpn import keys
from vpn.actions.instances.instance import create_instance
from vpn.actions.instances.settings import update_instance
from vpn.choices import InstanceState, PeerType, Protocol
from vpn.models import Instance, Peer, Region
from vpn.presenters.peers.search import PeerSearch

pytestmark = pytest.mark.django_db


def page_of(browser: Client, instance: Instance, **query: str) -> str:
    """The page as a browser gets it."""
    answer = browser.get(f"/instances/{instance.pk}/", query)
    assert answer.status_code == 200
    return answer.content.decode()


def connect(peer: Peer) -> None:
    """A handshake a moment ago."""
    now = timezone.now()
    observe_hubs(peer.instance, observed_at=now)
    observe_peers(peer, last_handshake=now - timedelta(seconds=9))


def many_peers(instance: Instance, member: Membership, count: int) -> None:
    """Devices made without their keys' mathematics."""
    Peer.objects.bulk_create(
        Peer(
            instance=instance,
            type=PeerType.CLIENT,
            member=member,
            device=f"device {number}",
            host=100 + number,
            public_key=keys.generate_preshared_key(),
            changed_generation=1,
        )
        for number in range(count)
    )


def test_without_peers_it_explains_both_kinds(admin_browser: Client, instance: Instance) -> None:
    page = page_of(admin_browser, instance)
    assert "No peers yet" in page
    assert f"/instances/{instance.pk}/peers/new-site/" in page


def test_rows_show_who_what_and_when(
    admin_browser: Client, instance: Instance, site_peer: Peer, client_peer: Peer
) -> None:
    connect(site_peer)
    page = page_of(admin_browser, instance)
    for words in ("Berlin", "10.1.0.0/24", "split tunnel", "9 s ago", "never", "1 of 2 online", "203.0.113.1"):
        assert words in page
    assert page.index("Berlin") < page.index("split tunnel")


def test_a_session_that_is_about_to_begin_anew_is_marked(
    admin_browser: Client, instance: Instance, client_peer: Peer
) -> None:
    connect(client_peer)
    Peer.objects.update(protocol=Protocol.OPENVPN)
    observe_peers(connected_from=timezone.now())
    assert "reconnects" not in page_of(admin_browser, instance)
    observe_peers(push_generation=2)
    assert "reconnects to receive changes" in page_of(admin_browser, instance)


@pytest.mark.parametrize(("show", "sites", "clients"), [("sites", 1, 0), ("clients", 0, 1), ("offline", 0, 1)])
def test_filters(
    admin_browser: Client, instance: Instance, site_peer: Peer, client_peer: Peer, show: str, sites: int, clients: int
) -> None:
    connect(site_peer)
    page = page_of(admin_browser, instance, show=show)
    assert page.count(f"peer-{site_peer.pk}") == sites
    assert page.count(f"peer-{client_peer.pk}") == clients


def test_search_finds_names_subnets_and_tunnel_addresses(
    admin_browser: Client, instance: Instance, site_peer: Peer, client_peer: Peer
) -> None:
    for text, found in (
        ("berl", site_peer),
        ("10.1.0", site_peer),
        ("LAPTOP", client_peer),
        (client_peer.member.user.email, client_peer),  # type: ignore[union-attr]
        (str(client_peer.addresses[0]), client_peer),
        (str(site_peer.addresses[1]), site_peer),
    ):
        page = page_of(admin_browser, instance, q=text)
        other = client_peer if found == site_peer else site_peer
        assert f"peer-{found.pk}" in page, text
        assert f"peer-{other.pk}" not in page, text


def test_words_are_found_in_any_order(
    admin_browser: Client, instance: Instance, site_peer: Peer, member: Membership
) -> None:
    member.user.name = "Anna Schmidt"
    member.user.save()
    laptop, phone = make_client_peer(instance, member, "laptop"), make_client_peer(instance, member, "phone")
    for text in ("laptop anna", "schmidt  LAPTOP", "Anna Schmidt / laptop", "anna/laptop", "Anna Schmidt (laptop)"):
        page = page_of(admin_browser, instance, q=text)
        assert f"peer-{laptop.pk}" in page, text
        assert f"peer-{phone.pk}" not in page, text
        assert f"peer-{site_peer.pk}" not in page, text
    assert "No peer matches" in page_of(admin_browser, instance, q="anna tablet")


def test_capitals_do_not_matter_in_any_script(
    admin_browser: Client, instance: Instance, site_peer: Peer, member: Membership
) -> None:
    member.user.name = "Özgür Жуков"
    member.user.save()
    phone = make_client_peer(instance, member, "phone")
    for text in ("özgür", "ÖZGÜR", "phone жуков", "ЖУКОВ özg"):
        for page in (page_of(admin_browser, instance, q=text), people_page(admin_browser, text.replace("phone", ""))):
            assert "Özgür" in page, text
    assert f"peer-{phone.pk}" in page_of(admin_browser, instance, q="özgür phone")
    assert f"peer-{site_peer.pk}" not in page_of(admin_browser, instance, q="özgür")


def people_page(browser: Client, text: str) -> str:
    """The people who are found, without the page around them, which holds what was searched for."""
    answer = browser.get("/people/", {"q": text}, headers={"HX-Request": "true"})
    return answer.content.decode()


def test_an_address_finds_the_site_whose_network_contains_it(
    admin_browser: Client, instance: Instance, site_peer: Peer, client_peer: Peer
) -> None:
    other = make_site_peer(instance, make_site(instance.organization), ["10.2.0.0/16", "fd10:2::/48"])
    for text, found in (
        ("10.1.0.77", site_peer),
        ("berlin 10.1.0.77", site_peer),
        ("10.2.200.9", other),
        ("10.2.7.0/24", other),
        ("fd10:2:0:5::9", other),
        ("FD10:0002:0000:0005::0009", other),
        # As programs show an address, with the port or ready for one.
        ("10.2.3.4:51820", other),
        ("[fd10:2::1]", other),
        ("[FD10:2:0::1]:51820", other),
        (f"{client_peer.addresses[0]}:4000", client_peer),
        (f"[{client_peer.addresses[1]}]:4000", client_peer),
    ):
        page = page_of(admin_browser, instance, q=text)
        assert [peer for peer in (site_peer, other, client_peer) if f"peer-{peer.pk}" in page] == [found], text
    for text in ("10.9.0.1", "10.9.0.1:51820", "[fd10:9::1]:51820", "10.2.3.400:51820", "[berlin]"):
        assert "No peer matches" in page_of(admin_browser, instance, q=text), text


def test_the_address_that_a_peer_comes_from_finds_it_however_it_is_written(
    admin_browser: Client, instance: Instance, site_peer: Peer, client_peer: Peer
) -> None:
    for endpoint, texts in (
        ("198.51.100.7:51820", ("198.", "198.51.100.7", "198.51.100.7:51820")),
        ("[2001:db8::1]:51820", ("2001:db8::1", "[2001:db8::1]", "[2001:db8::1]:51820", "2001:0db8:0::1")),
    ):
        observe_peers(client_peer, endpoint=endpoint)
        for text in texts:
            page = page_of(admin_browser, instance, q=text)
            assert (f"peer-{client_peer.pk}" in page, f"peer-{site_peer.pk}" in page) == (True, False), text


def test_an_address_of_a_widened_pool_finds_its_peer(
    admin_browser: Client, admin: Membership, organization: Organization, member: Membership, region: Region
) -> None:
    instance = settle(
        create_instance(
            admin.organization, name="Widened", hostname="widened", region=region, pool="10.9.3.0/24", by=BY
        )
    )
    phone, laptop = make_client_peer(instance, member, "phone"), make_client_peer(instance, member, "laptop")
    update_instance(instance, pool="10.9.0.0/16", by=BY)
    instance = Instance.objects.get(pk=instance.pk)
    # Behind the end of the pool host numbers go on at its begin.
    Peer.objects.filter(pk=laptop.pk).update(host=0xFD01)
    last = Peer.objects.select_related("instance").get(pk=laptop.pk)
    assert [str(last.addresses[0]), str(phone.addresses[0])] == ["10.9.0.1", "10.9.3.2"]
    for found, other in ((phone, last), (last, phone)):
        for address in found.addresses:
            page = page_of(admin_browser, instance, q=str(address))
            assert (f"peer-{found.pk}" in page, f"peer-{other.pk}" in page) == (True, False), address


def test_an_address_costs_one_query_more_however_many_sites_there_are(
    admin: Membership, instance: Instance, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    for _ in range(3):
        make_site_peer(instance, make_site(instance.organization))
    with django_assert_num_queries(2):
        list(PeerSearch(text="10.250.0.1").find(admin, instance))


def test_a_search_without_a_result_says_so_and_is_escaped(
    admin_browser: Client, instance: Instance, client_peer: Peer
) -> None:
    page = page_of(admin_browser, instance, q="<i>")
    assert "No peer matches" in page
    assert "<i>" not in page


def test_pages_keep_the_search_and_survive_nonsense(
    admin_browser: Client, instance: Instance, member: Membership
) -> None:
    many_peers(instance, member, 120)
    page = page_of(admin_browser, instance, q="device", show="clients")
    assert page.count('id="peer-') == 50
    assert "?q=device&amp;show=clients&amp;page=2" in page
    assert page_of(admin_browser, instance, page="3").count('id="peer-') == 20
    assert page_of(admin_browser, instance, page="99", show="nonsense").count('id="peer-') == 20
    assert page_of(admin_browser, instance, page="x").count('id="peer-') == 50
    assert page_of(admin_browser, instance, q="\x00device 7").count('id="peer-') > 0


def test_more_peers_ask_no_more_queries(
    admin_browser: Client, instance: Instance, member: Membership, site_peer: Peer, django_assert_num_queries: object
) -> None:
    # session, user with membership, instance, counts, two for the needs, ids of the page, its rows
    queries = 8
    with django_assert_num_queries(queries):  # type: ignore[operator]
        page_of(admin_browser, instance)
    many_peers(instance, member, 400)
    with django_assert_num_queries(queries):  # type: ignore[operator]
        page_of(admin_browser, instance)


def test_htmx_gets_the_rows_and_how_many_are_online(
    admin_browser: Client, instance: Instance, client_peer: Peer
) -> None:
    headers = {"HX-Request": "true", "HX-Target": "peers"}
    fragment = admin_browser.get(f"/instances/{instance.pk}/", headers=headers).content.decode()
    assert "<html" not in fragment
    assert f"peer-{client_peer.pk}" in fragment
    assert "0 of 1 online" in fragment


def test_the_count_on_the_tab_follows_the_poll(
    admin_browser: Client, instance: Instance, client_peer: Peer, site_peer: Peer
) -> None:
    headers = {"HX-Request": "true", "HX-Target": "peers"}
    fragment = admin_browser.get(f"/instances/{instance.pk}/", headers=headers).content.decode()
    assert '<span id="tab-count" hx-swap-oob="innerHTML">2</span>' in fragment
    assert fragment.count('id="tab-count"') == page_of(admin_browser, instance).count('id="tab-count"') == 1


def test_an_auditor_sees_no_way_to_change(auditor_browser: Client, instance: Instance, client_peer: Peer) -> None:
    page = page_of(auditor_browser, instance)
    assert "Add peer" not in page
    assert "/peers/new-client/" not in page


def test_who_may_not_see_it(member_browser: Client, stranger_browser: Client, instance: Instance) -> None:
    assert member_browser.get(f"/instances/{instance.pk}/").status_code == 403
    assert stranger_browser.get(f"/instances/{instance.pk}/").status_code == 404


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (InstanceState.PROVISIONING, "The hub is being set up"),
        (InstanceState.FAILED, "Provisioning stopped"),
        (InstanceState.DELETING, "This instance is being deleted"),
        (InstanceState.LOST, "no longer answers"),
        (InstanceState.READY, "does not report"),
    ],
)
def test_it_says_when_all_is_not_well(admin_browser: Client, instance: Instance, state: str, words: str) -> None:
    Instance.objects.filter(pk=instance.pk).update(state=state)
    observe_hubs(instance, observed_at=None)
    assert words in page_of(admin_browser, instance)


def test_changes_that_did_not_arrive_are_told_with_the_next_step(admin_browser: Client, instance: Instance) -> None:
    Instance.objects.filter(pk=instance.pk).update(failure="The server's disk is full. Free some space.")
    page = page_of(admin_browser, instance)
    for words in ("The server&#x27;s disk is full.", "Changes not applied", "Try again"):
        assert words in page
