"""ETag and If-Match: nobody overwrites what they did not see."""

from __future__ import annotations

import pytest
from django.utils import timezone

from portal.actions.group import create_group
from portal.models import Membership
from tests import factories
from tests.factories import BY, observe_hubs, observe_peers
from tests.vpn.api.caller import Caller, refused, told
from vpn.models import Peer, Site


@pytest.fixture
def things(client_peer: Peer, site: Site, member: Membership) -> dict[str, tuple[str, dict[str, object]]]:
    """Path and a change of each kind of thing."""
    instance = f"/instances/{client_peer.instance_id}"
    return {
        "instance": (instance, {"name": "Changed"}),
        "peer": (f"{instance}/peers/{client_peer.pk}", {"device": "changed"}),
        "site": (f"/sites/{site.pk}", {"place": "changed"}),
        "user": (f"/users/{member.pk}", {"role": "auditor"}),
        "group": (
            f"/groups/{create_group(member.organization, name='Sales', by=BY).pk}",
            {"members": [str(member.pk)]},
        ),
    }


@pytest.mark.parametrize("kind", ["instance", "peer", "site", "user", "group"])
def test_a_change_with_a_stale_etag_is_refused(
    api: Caller, things: dict[str, tuple[str, dict[str, object]]], kind: str
) -> None:
    path, change = things[kind]
    first = api.get(path)["ETag"]
    assert first.startswith('"')
    assert api.get(path)["ETag"] == first
    changed = api.put(path, change, If_Match=first)
    told(changed, 200)
    assert changed["ETag"] not in {first, ""}
    assert changed["ETag"] == api.get(path)["ETag"]
    refused(api.put(path, change, If_Match=first), 412, "stale")
    refused(api.delete(path, If_Match=first), 412, "stale")
    told(api.put(path, change, If_Match=f'"other", {changed["ETag"]}'), 200)
    told(api.put(path, change, If_Match="*"), 200)
    refused(api.put(path, change, If_Match=f"W/{changed['ETag']}"), 412)
    refused(api.put(path, change, If_Match=""), 412)
    assert api.delete(path, If_Match=changed["ETag"]).status_code in {202, 204}


def test_a_stale_change_changes_nothing(api: Caller, site: Site) -> None:
    refused(api.put(f"/sites/{site.pk}", {"place": "changed"}, If_Match='"stale"'), 412)
    site.refresh_from_db()
    assert site.place == ""


def test_what_is_only_observed_is_nobodys_edit(api: Caller, client_peer: Peer, member: Membership) -> None:
    instance = f"/instances/{client_peer.instance_id}"
    paths = (instance, f"{instance}/peers/{client_peer.pk}")
    before = [api.get(path)["ETag"] for path in paths]
    now = timezone.now()
    observe_peers(last_handshake=now, connected_from=now, received_bytes=7, endpoint="192.0.2.1:1")
    observe_hubs(observed_at=now)
    factories.make_client_peer(client_peer.instance, member, "another")
    assert [api.get(path)["ETag"] for path in paths] == before


def test_rights_come_before_the_etag(auditor_api: Caller, stranger_api: Caller, site: Site) -> None:
    refused(auditor_api.put(f"/sites/{site.pk}", {}, If_Match='"x"'), 403)
    refused(stranger_api.put(f"/sites/{site.pk}", {}, If_Match='"x"'), 404)


def test_a_faulty_body_is_told_after_a_matching_etag(api: Caller, site: Site) -> None:
    path = f"/sites/{site.pk}"
    refused(api.put(path, {"frob": 1}, If_Match=api.get(path)["ETag"]), 422)
