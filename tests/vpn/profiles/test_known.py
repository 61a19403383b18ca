"""What the states of profiles depend on is kept between requests, for as long as the instance does not change."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from portal.models import Membership, Organization
from tests.factories import BY, make_client_peer, make_instance, make_site, make_site_peer, settle
from tests.vpn.api.caller import Caller, told
from vpn.actions.instances.settings import update_instance
from vpn.choices import ProfileState
from vpn.models import Instance, Peer
from vpn.profiles import known
from vpn.profiles.known import known_digests, known_digests_of_all
from vpn.profiles.state import current_digest, profile_states


def fresh(instance: Instance) -> Instance:
    """The instance as a request reads it."""
    return Instance.objects.select_related("server", "region", "observation").get(pk=instance.pk)


@pytest.fixture
def branch(instance: Instance, organization: Organization) -> Peer:
    """A branch beside which another one is connected."""
    make_site_peer(instance, make_site(organization, name="Other"), ["10.200.0.0/24"])
    return make_site_peer(instance, make_site(organization, name="Berlin"), ["10.201.0.0/24"])


def test_an_unchanged_instance_is_asked_once(instance: Instance, branch: Peer) -> None:
    first = known_digests(fresh(instance))
    again = fresh(instance)
    with CaptureQueriesContext(connection) as captured:
        assert known_digests(again) is first
    assert not captured.captured_queries
    update_instance(instance, mtu=1300, by=BY)
    assert known_digests(fresh(instance)) is not first


def test_each_change_is_seen_at_the_next_read_and_a_preview_leaves_nothing(
    admin: Membership, instance: Instance, branch: Peer, member: Membership
) -> None:
    api, device = Caller.of(admin), make_client_peer(instance, member)
    settle(instance)
    for peer in (device, branch):
        read = Peer.objects.select_related("site", "member__user", "instance__server").get(pk=peer.pk)
        Peer.objects.filter(pk=peer.pk).update(delivered_digest=current_digest(read))

    def states() -> set[str]:
        rows = told(api.get(f"/instances/{instance.pk}/peers"), 200)
        found = {row["profile_state"] for row in rows if row["id"] in {str(device.pk), str(branch.pk)}}
        reads = [told(api.get(f"/instances/{instance.pk}/peers/{row['id']}"), 200) for row in rows]
        assert reads == rows
        return found

    assert states() == {"current"}
    other = Peer.objects.get(site__name="Other")
    path = f"/instances/{instance.pk}/peers/{other.pk}"
    told(api.put(f"{path}?plan=true", {"subnets": ["10.202.0.0/24"]}), 200)
    assert states() == {"current"}
    told(api.put(path, {"subnets": ["10.202.0.0/24"]}), 200)
    assert states() == {"outdated"}
    told(api.put(path, {"subnets": ["10.200.0.0/24"]}), 200)
    assert states() == {"current"}
    told(api.put(f"/instances/{instance.pk}/peers/{branch.pk}", {"subnets": ["10.203.0.0/24"]}), 200)
    assert states() == {"outdated", "current"}


def test_what_is_kept_is_bounded(
    organization: Organization, instance: Instance, branch: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(known, "_MOST_SITES", 3)
    others = [make_instance(organization) for _ in range(3)]
    for number, other in enumerate(others):
        make_site_peer(other, make_site(organization, name=f"Branch {number}"), [f"10.{number}.0.0/24"])
    hubs = [fresh(one) for one in (instance, *others)]
    first = known_digests_of_all(hubs)[instance.pk]
    assert known_digests(hubs[0]) is not first  # the other three have as many sites as are kept
    peers = Peer.objects.filter(instance=others[0]).select_related("site")
    digests = known_digests(hubs[1])
    assert set(profile_states(hubs[1], peers, digests=digests).values()) == {ProfileState.UNDELIVERED}
