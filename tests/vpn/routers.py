"""A site's router, as the portal knows it: it enrols and checks in, without a tunnel."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from tests.factories import BY, settle
from tests.vpn.api.caller import Answer, Caller
from vpn import keys
from vpn.actions.sites.router import offer_enrolment
from vpn.models import Peer, Server

REPORT = {"model": "APU2", "version": "Debian 12 (6.1)", "identity": "berlin-gw", "subnets": ["10.9.0.0/24"]}


@dataclass
class MadeRouter:
    """An enrolled router with its token, and what it applied."""

    peer: Peer
    token: str
    applied: str = ""

    def check_in(self, **more: Any) -> Answer:
        """Ask for news, and apply them."""
        body = {"version": 1, "applied": self.applied, **more}
        answer = Caller(self.token).post("/router/check-in", body)
        if answer.status_code == 200:
            lines = words_of(answer)
            self.applied = lines.get("fingerprint", self.applied)
            self.token = lines.get("token", self.token)
        return answer


def words_of(answer: Answer) -> dict[str, str]:
    """The first value of each word of a configuration."""
    assert answer.status_code == 200, answer.content
    found: dict[str, str] = {}
    for word, value in re.findall(r"^([a-z]+) (.+)$", answer.content.decode().partition("[Peer]")[0], re.MULTILINE):
        found.setdefault(word, value)
    return found


def placed(peer: Peer) -> Peer:
    """Its hub is on a server with an address, and has the peer."""
    server = Server.objects.filter(address="192.0.2.7").first() or Server.objects.create(
        name="one", region=peer.instance.region, address="192.0.2.7"
    )
    type(peer.instance).objects.filter(pk=peer.instance_id).update(server=server)
    settle(peer.instance)
    return Peer.objects.select_related("instance__server", "site").get(pk=peer.pk)


def new_key() -> str:
    """The public key of a new pair."""
    return keys.public_key(keys.generate_private_key())


def enrol(peer: Peer, token: str = "", **report: Any) -> Answer:
    """Enrol a router with a new token, or with this one."""
    body = {"public_key": new_key(), **REPORT, **report}
    return Caller(token or offer_enrolment(peer, by=BY)).post("/router/enrol", body)


def enrolled(peer: Peer, **report: Any) -> MadeRouter:
    """A router that enrolled, and whose hub has its key."""
    answer = enrol(placed(peer), **report)
    lines = words_of(answer)
    settle(peer.instance)
    return MadeRouter(Peer.objects.get(pk=peer.pk), lines["token"], lines["fingerprint"])
