"""The job that renews certificates: it reads only what is due, continues where it stopped, and passes over failures."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from portal.models import Membership, Organization
from tests.factories import BY, make_instance, make_member
from vpn.actions.peers.keys import renew_peer
from vpn.actions.peers.peer import create_client_peer, update_peer
from vpn.jobs import certificates
from vpn.jobs.certificates import renew_certificates
from vpn.models import Instance, Peer, Server, Tick

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]


@pytest.fixture
def member(organization: Organization) -> Membership:
    """A member with devices."""
    return make_member(organization)


def make_hubs(organization: Organization, count: int) -> list[Instance]:
    """Ready hubs without certificates."""
    return [make_instance(organization, name=f"Hub {number}") for number in range(count)]


def make_peers(hubs: Sequence[Instance], member: Membership) -> list[Peer]:
    """A device over OpenVPN on each hub."""
    return [create_client_peer(hub, member=member, device="laptop", protocol="openvpn", by=BY) for hub in hubs]


def run() -> None:
    """The job, a minute later."""
    Tick.objects.filter(name="certificates").delete()
    renew_certificates()


def queries_of_a_run() -> int:
    """How many queries a run takes."""
    Tick.objects.filter(name="certificates").delete()
    with CaptureQueriesContext(
        connection,
    ) as asked:
        renew_certificates()
    return len(asked)


def serials() -> dict[str, str]:
    """The certificates by hub and peer."""
    hubs = {str(one.pk): one.server_certificate for one in Instance.objects.all()}
    return hubs | {str(one.pk): one.certificate_serial for one in Peer.objects.all()}


def make_due(peers: Sequence[Peer]) -> None:
    """As if the last third of their certificates' lives had begun, one after the other."""
    for minutes, peer in enumerate(reversed(peers), start=1):
        Peer.objects.filter(pk=peer.pk).update(certificate_due_at=timezone.now() - timedelta(minutes=minutes))


def test_nothing_due_takes_a_constant_number_of_queries(organization: Organization, member: Membership) -> None:
    make_peers(make_hubs(organization, 2), member)
    run()
    few = queries_of_a_run()
    make_peers(make_hubs(organization, 5), member)
    before = serials()
    assert queries_of_a_run() == few
    assert serials() == before


def test_a_hub_of_an_earlier_release_keeps_its_certificate(organization: Organization, member: Membership) -> None:
    """Another one would start its listeners again, and every OpenVPN session on every hub at an upgrade."""
    (hub,) = make_hubs(organization, 1)
    make_peers([hub], member)
    run()
    Instance.objects.update(certificate_hosts="", certificates_due_at=timezone.now())
    before = Instance.objects.get()
    run()
    after = Instance.objects.get()
    assert (after.server_certificate, after.desired_generation) == (
        before.server_certificate,
        before.desired_generation,
    )
    assert after.certificates_due_at > timezone.now() + timedelta(days=1)
    Server.objects.update(address="203.0.113.99")
    Instance.objects.update(certificate_hosts="", certificates_due_at=timezone.now())
    run()
    assert Instance.objects.get().server_certificate != before.server_certificate, "it names the former address"


def test_a_job_that_ran_out_of_time_is_continued_by_the_next(
    organization: Organization, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(certificates, "_SLICE_SECONDS", 0.0)  # over after the first
    hubs = make_hubs(organization, 3)
    for done in range(1, len(hubs) + 1):
        run()
        assert sum(one.has_certificates for one in Instance.objects.all()) == done


def test_one_that_cannot_be_renewed_keeps_no_other_from_it(organization: Organization, member: Membership) -> None:
    broken, sound = make_hubs(organization, 2)
    peers = make_peers([broken, sound], member)
    before = serials()
    Instance.objects.filter(pk=broken.pk).update(authority_key_sealed="not sealed")
    make_due([peers[1], peers[0]])  # that of the broken hub first
    run()
    after = serials()
    assert after[str(peers[0].pk)] == before[str(peers[0].pk)]
    assert after[str(peers[1].pk)] != before[str(peers[1].pk)]
    waits = Peer.objects.get(pk=peers[0].pk).certificate_due_at
    assert waits is not None
    assert waits > timezone.now(), "it is retried later"


def test_the_date_goes_with_the_certificate(organization: Organization, member: Membership) -> None:
    (hub,) = make_hubs(organization, 1)
    (peer,) = make_peers([hub], member)
    assert peer.certificate_expires_at is not None
    assert peer.certificate_due_at is not None
    assert timezone.now() < peer.certificate_due_at < peer.certificate_expires_at
    make_due([peer])
    renew_peer(peer, by=BY)
    renewed = Peer.objects.get(pk=peer.pk)
    assert renewed.certificate_due_at is not None
    assert renewed.certificate_due_at > timezone.now()
    assert update_peer(renewed, protocol="wireguard", by=BY).certificate_due_at is None
