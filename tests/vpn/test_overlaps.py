"""What overlaps is found by the rows of networks: as a plain comparison finds it, and after every action."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from portal.exceptions import Conflict, InvalidInput, NotPossible
from portal.models import Organization
from tests.factories import BY, make_instance, make_organization, make_site, settle
from tests.revising import unrevised
from vpn.actions.peers.keys import rotate_keys
from vpn.actions.peers.peer import create_site_peer, delete_peer, update_peer
from vpn.actions.sites.overlaps import claims_on, first_within, repair_networks
from vpn.actions.sites.site import delete_site, update_site
from vpn.addressing.networks import Network, contains, is_broad, overlaps
from vpn.choices import Protocol
from vpn.jobs.reconcile import reconcile_all
from vpn.models import Instance, Peer, PeerNetwork, Site
from vpn.validators import parse_network
from vpn.wire.network_keys import key_of

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]


def _v4(bits: int, length: int) -> Network:
    return IPv4Network((bits << 20 | 10 << 24, length), strict=False)


def _v6(bits: int, length: int) -> Network:
    return IPv6Network((0xFD00 << 112 | bits << 80, length), strict=False)


# Crowded: few addresses and many lengths, so that most nest with some other, broad ones among them.
_networks = st.one_of(
    st.builds(_v4, st.integers(0, 15), st.sampled_from([0, 1, 7, 8, 9, 10, 11, 12, 13, 24, 32])),
    st.builds(_v6, st.integers(0, 15), st.sampled_from([0, 16, 31, 32, 33, 44, 45, 46, 47, 48, 64, 128])),
)
_lists = st.lists(_networks, min_size=1, max_size=6, unique=True)
_database = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def organization() -> Organization:
    return make_organization()


@pytest.fixture
def instance(organization: Organization) -> Instance:
    return make_instance(organization)


@pytest.fixture
def peers(organization: Organization, instance: Instance) -> list[Peer]:
    """Three sites' peers."""
    return [
        create_site_peer(instance, site=make_site(organization, name=name), subnets=[f"192.168.{number}.0/24"], by=BY)
        for number, name in enumerate(("Berlin", "Bonn", "Bremen"))
    ]


def _advertise(peer: Peer, networks: list[Network]) -> None:
    peer.subnets = [str(network) for network in networks]
    with unrevised():
        peer.save(update_fields=["subnets"])


@_database
@given(there=st.lists(_lists, min_size=3, max_size=3), wanted=_lists)
def test_claims_are_those_that_a_plain_comparison_finds(
    instance: Instance, peers: list[Peer], there: list[list[Network]], wanted: list[Network]
) -> None:
    with transaction.atomic():
        for peer, networks in zip(peers, there, strict=True):
            _advertise(peer, networks)
        for own in (None, peers[0]):
            confirmed = wanted[::2] if own is None else there[0]
            found = claims_on(instance, wanted, confirmed=confirmed, except_peer=own)
            others = [(peer.label, one) for peer, some in zip(peers, there, strict=True) if peer != own for one in some]
            plain = {
                (f"the site {label}", one)
                for label, one in others
                for network in wanted
                if one == network
                or (not (network in confirmed or is_broad(network) or is_broad(one)) and overlaps(one, network))
            }
            assert {(claim.owner, claim.network) for claim in found} == plain
        for network in wanted:
            within = {one for some in there for one in some if contains(network, one)}
            first = first_within(instance, network)
            assert first.network == min(within, key=key_of) if first is not None else not within
        transaction.set_rollback(True)


def _rows(instance: Instance) -> set[tuple[str, str]]:
    return {(str(row.peer_id), row.key) for row in PeerNetwork.objects.filter(instance=instance)}


def _truth(instance: Instance) -> set[tuple[str, str]]:
    sites = Peer.objects.filter(instance=instance, site__isnull=False)
    return {(str(peer.pk), key_of(parse_network(text))) for peer in sites for text in peer.subnets}


def _subnets(numbers: list[int]) -> list[str]:
    """Of both families, nested ones among them."""
    known = ["10.1.0.0/16", "10.1.2.0/24", "10.9.0.0/24", "fd01::/48", "fd01:0:0:7::/64", "0.0.0.0/0", "fd02::/48"]
    return [known[number] for number in numbers]


_numbers = st.lists(st.integers(0, 6), min_size=1, max_size=4, unique=True)
_steps = st.lists(
    st.tuples(
        st.sampled_from(["connect", "change", "change site", "disable", "restore", "protocol", "keys", "delete"]),
        st.integers(0, 1),
        st.integers(0, 2),
        _numbers,
    ),
    max_size=12,
)


@settings(_database, max_examples=25)
@given(steps=_steps)
def test_rows_are_the_subnets_after_every_action(
    organization: Organization, steps: list[tuple[str, int, int, list[int]]]
) -> None:
    with transaction.atomic():
        instances = [make_instance(organization, name=name) for name in ("Frankfurt", "Paris")]
        sites = [make_site(organization, name=name) for name in ("Berlin", "Bonn", "Bremen")]
        for act, hub, place, numbers in steps:
            peer = Peer.objects.filter(instance=instances[hub], site=sites[place]).first()
            # What is refused changes no row either.
            try:
                with transaction.atomic():
                    _do(act, instances[hub], sites[place], peer, _subnets(numbers))
            except (Conflict, InvalidInput, NotPossible):
                pass
            for each in instances:
                assert _rows(each) == _truth(each), act
        transaction.set_rollback(True)


def _do(act: str, instance: Instance, site: Site, peer: Peer | None, subnets: list[str]) -> None:
    if act == "connect":
        create_site_peer(instance, site=site, subnets=subnets, confirm_broad_routes=True, by=BY)
    elif act == "change site":
        update_site(site, subnets=subnets, confirm_broad_routes=True, by=BY)
    elif peer is None:
        return
    elif act == "change":
        update_peer(peer, subnets=subnets, confirm_broad_routes=True, by=BY)
    elif act in {"disable", "restore"}:
        update_peer(peer, enabled=act == "restore", by=BY)
    elif act == "protocol":
        update_peer(
            peer, protocol=Protocol.OPENVPN if peer.protocol == Protocol.WIREGUARD else Protocol.WIREGUARD, by=BY
        )
    elif act == "keys":
        rotate_keys(peer, by=BY)
    else:
        delete_peer(peer, by=BY)


def test_a_site_that_goes_leaves_no_row(organization: Organization, instance: Instance, peers: list[Peer]) -> None:
    delete_peer(peers[0], by=BY)
    assert peers[0].site is not None
    delete_site(peers[0].site, by=BY)
    assert {pk for pk, _ in _rows(instance)} == {str(peer.pk) for peer in peers[1:]}
    instance.delete()
    assert not PeerNetwork.objects.exists()


def test_rows_that_an_older_worker_did_not_write_are_mended(
    organization: Organization, instance: Instance, peers: list[Peer], caplog: pytest.LogCaptureFixture
) -> None:
    """It wrote `subnets` alone: one list is another one, one peer is new, one lost its networks."""
    for peer, subnets in zip(peers, (["10.1.0.0/16"], ["fd01::/48", "10.2.0.0/16"], []), strict=True):
        with unrevised():
            Peer.objects.filter(pk=peer.pk).update(subnets=subnets)
    PeerNetwork.objects.filter(peer=peers[1]).delete()
    assert _rows(instance) != _truth(instance)
    settle(instance)
    reconcile_all()
    assert _rows(instance) == _truth(instance)
    assert "3 peers" in caplog.text
    with pytest.raises(Conflict, match="Berlin"):
        create_site_peer(instance, site=make_site(organization, name="Bern"), subnets=["10.1.0.0/16"], by=BY)


def test_looking_for_such_rows_takes_two_queries_and_no_lock(instance: Instance, peers: list[Peer]) -> None:
    with CaptureQueriesContext(connection) as queries:
        assert repair_networks(instance.pk, by=BY) == 0
    assert len(queries) == 2
