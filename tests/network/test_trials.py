"""A change on trial that cuts people off: the watch alone brings their traffic back, without a session or a portal."""

from __future__ import annotations

import signal
import uuid

from tests.lab.hub import Hub, Watch
from tests.lab.lab import Lab
from tests.lab.waiting import wait_until
from vpn.agent.system import clock
from vpn.wire.digests import digest
from vpn.wire.documents import RuleDocument
from vpn.wire.report import COMPONENTS

NOTHING = dict.fromkeys(COMPONENTS, False)
WITHIN = 30.0


def closed() -> RuleDocument:
    """A rule that cuts everybody off from everybody."""
    return {
        "id": str(uuid.uuid4()),
        "action": "drop",
        "protocol": "any",
        "ports": None,
        "source": "any",
        "destination": "any",
    }


def try_closing(hub: Hub, seconds: int) -> None:
    """Put the rule on trial, with pushed routes and an opened network that go with it."""
    former_rules, hub.rules = list(hub.rules), (closed(),)
    hub.trial = {
        "id": str(uuid.uuid4()),
        "seconds": seconds,
        "former": {"forwarding": "allow", "rules": former_rules, "pushed_routes": [], "networks": []},
    }
    hub.apply_next()


def has_returned(hub: Hub) -> bool:
    """What the agent says of the trial."""
    trial = hub.status().trial
    assert trial is not None
    return trial.has_returned


def is_as_it_was_told(hub: Hub) -> None:
    """The saved spec is the one that was sent, and what is in force is not taken for somebody else's doing."""
    report = hub.agent.once("status", hub=hub.hub)["report"]
    assert report["drift"] == []
    assert report["digest"] == digest(hub.document)
    assert hub.apply().changed == NOTHING


def test_the_watch_returns_by_itself_even_after_it_was_killed(lab: Lab, hub: Hub) -> None:
    alice, bob, carol = (lab.add_client(name) for name in ("alice", "bob", "carol"))
    hub.connect(alice)
    bobs, carols = hub.connect(bob), hub.connect_openvpn(carol)
    lab.wait_ping(alice, bobs.v4)
    with Watch(hub.agent) as watch:
        try_closing(hub, 3)
        assert not lab.ping(alice, bobs.v4)
        # Who is removed during the trial stays out.
        hub.send(hub.delta(remove=[bobs]))
        hub.agent.close()
        watch.process.send_signal(signal.SIGKILL)
        watch.process.wait(10)
        assert not lab.ping(alice, carols.v4)
        with Watch(hub.agent):
            lab.wait_ping(alice, carols.v4, WITHIN)
            wait_until(lambda: has_returned(hub), WITHIN, "the return to be reported")
            assert not lab.ping(alice, bobs.v4)
            is_as_it_was_told(hub)


def test_a_confirmed_change_stays_and_one_that_returned_can_be_tried_again(lab: Lab, hub: Hub) -> None:
    alice, bob = lab.add_client("alice"), lab.add_client("bob")
    hub.connect(alice)
    bobs = hub.connect(bob)
    with Watch(hub.agent):
        try_closing(hub, 600)
        assert not lab.ping(alice, bobs.v4)
        # The end of its time, as the server's clock would bring it: another start of the server.
        deadline = lab.state / hub.hub / "trial.json"
        before = deadline.with_suffix(".before")
        before.write_text(deadline.read_text().replace(clock.now().boot, "before"))
        before.replace(deadline)
        lab.wait_ping(alice, bobs.v4, WITHIN)
        hub.rules, hub.trial = (), None
        assert hub.apply_next().changed == NOTHING
        try_closing(hub, 600)
        assert not lab.ping(alice, bobs.v4)
        hub.trial = None
        assert hub.apply_next().changed == NOTHING, "a confirmation changes nothing in force"
        assert not deadline.exists()
        assert not lab.ping(alice, bobs.v4)
