"""Clients with outdated pushed options reconnect: sites first, a few at a time, each once."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from vpn.agent.lifecycle.host import Host
from vpn.agent.lifecycle.renewal import RATE, RateLimit, Renewal
from vpn.agent.memory.state import State
from vpn.agent.openvpn import management as openvpn_management
from vpn.agent.openvpn import push as openvpn_push
from vpn.agent.openvpn.layout import Layout
from vpn.agent.openvpn.management import NoAnswer, Session
from vpn.agent.system.command import Netns
from vpn.constants import RENEWALS_PER_SECOND

HUB = "abcdefghij"


@dataclass
class Clock:
    """A clock that the test advances."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Listener:
    """A listener's management socket: its sessions, and those that were told to reconnect."""

    layout: Layout
    sessions: list[Session] = field(default_factory=list)
    restarted: list[str] = field(default_factory=list)
    is_heard: bool = True

    def connect(self, number: int, *, site: bool = False) -> None:
        """Let a peer connect, and record its pushed options as the script does."""
        name = f"00000000-0000-4000-8000-{number:012x}"
        own = f"iroute 10.{number}.0.0 255.255.255.0\n" if site else ""
        (self.layout.clients(False) / name).write_text(f"# split{'' if site else ' dns'}\n{own}")
        self.pushed(name)
        self.sessions.append(Session(name, number, None, int(time.time()) - 100, 0, 0))

    def pushed(self, name: str) -> None:
        """Record the current pushed options of a peer."""
        kinds = (self.layout.clients(False) / name).read_text().splitlines()[0].split()[1:]
        lines = [line for kind in kinds for line in (self.layout.directory / f"pushed_{kind}").read_text().splitlines()]
        told = "".join(f"{line.split(' ', 1)[1]}\n" for line in lines if line.split()[0] != name)
        (self.layout.shown / f"{name}.ou-{HUB}").write_text(f"7 1194\n{hashlib.sha256(told.encode()).hexdigest()}  -\n")

    def add_site(self, network: str = "10.99.0.0 255.255.255.0") -> None:
        """Add a route to the pushed options of all peers."""
        with (self.layout.directory / "pushed_split").open("a") as stream:
            stream.write(f'other push "route {network}"\n')
        openvpn_push.note_change(self.layout)

    def age(self, seconds: float = 20.0) -> None:
        """Make the change some seconds old."""
        self.layout.push_changed.write_text(f"{time.time() - seconds}\n")


@pytest.fixture
def listener(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Listener:
    state = State(tmp_path)
    layout = Layout(state.openvpn(HUB))
    for directory in (layout.clients(False), layout.shown):
        directory.mkdir(parents=True)
    (layout.directory / "pushed_split").write_text('- push "route 10.0.0.0 255.0.0.0"\n')
    (layout.directory / "pushed_dns").write_text('- push "dhcp-option DNS 100.64.0.1"\n')
    layout.config("udp").touch()
    made = Listener(layout)

    def sessions(path: Path) -> list[Session]:
        if not made.is_heard:
            raise NoAnswer
        return made.sessions

    def restart(path: Path, names: Iterable[str]) -> int:
        made.restarted += names
        return 1

    monkeypatch.setattr(State, "hubs", lambda self: [HUB])
    monkeypatch.setattr(openvpn_management, "sessions", sessions)
    monkeypatch.setattr(openvpn_management, "restart", restart)
    return made


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def renewal(listener: Listener, clock: Clock) -> Renewal:
    host = Host(Netns("host"), State(listener.layout.directory.parents[1]))
    return Renewal(host, host.state.hubs, RateLimit(clock))


def run(renewal: Renewal, clock: Clock, seconds: float) -> list[int]:
    """Run every half second for `seconds`; return how many sessions each run told to reconnect."""
    counts = []
    for _ in range(int(seconds * 2)):
        clock.now += 0.5
        counts.append(renewal.run())
    return counts


def test_hundreds_of_sessions_do_not_come_back_at_once(listener: Listener, renewal: Renewal, clock: Clock) -> None:
    for number in range(400):
        listener.connect(number, site=number % 40 == 0)
    listener.add_site()
    listener.age()
    counts = run(renewal, clock, 60)
    assert sum(counts) == len(set(listener.restarted)) == 400
    assert max(counts) <= 6
    busy = [count for count in counts if count]
    assert 30 <= len(busy) / 2 <= 55, "ten a second"
    assert len(set(busy)) > 1, "not in step"
    assert {int(name[-12:], 16) % 40 for name in listener.restarted[:10]} == {0}, "the ten sites first"


def test_time_that_was_not_used_is_not_saved_up() -> None:
    clock = Clock()
    limit = RateLimit(clock)
    clock.now += 3600
    assert limit.take(1000) <= 6
    for _ in range(100):
        clock.now += 0.1
        limit.take(0)
    taken = []
    for _ in range(100):
        clock.now += 0.1
        taken.append(limit.take(1000))
    assert sum(taken) == pytest.approx(10 * RATE, abs=15)


def test_who_has_what_is_pushed_now_is_left_alone(listener: Listener, renewal: Renewal, clock: Clock) -> None:
    listener.connect(1)
    listener.add_site()
    listener.connect(2)
    listener.age()
    assert sum(run(renewal, clock, 5)) == 1
    assert listener.restarted == [listener.sessions[0].common_name]


def test_a_peers_own_network_is_no_news_to_it(listener: Listener, renewal: Renewal, clock: Clock) -> None:
    listener.connect(1, site=True)
    name = listener.sessions[0].common_name
    with (listener.layout.directory / "pushed_split").open("a") as stream:
        stream.write(f'{name} push "route 10.1.0.0 255.255.255.0"\n')
    openvpn_push.note_change(listener.layout)
    listener.age()
    assert sum(run(renewal, clock, 5)) == 0
    assert openvpn_push.changed_at(listener.layout) is None


def test_sites_that_are_added_one_after_another_end_a_session_once(
    listener: Listener, renewal: Renewal, clock: Clock
) -> None:
    listener.connect(1)
    listener.add_site("10.98.0.0 255.255.255.0")
    assert sum(run(renewal, clock, 1)) == 0, "there may be more"
    listener.add_site("10.97.0.0 255.255.255.0")
    listener.age(4)
    assert sum(run(renewal, clock, 5)) == 1


def test_a_watch_that_is_started_again_goes_on_with_those_that_are_left(listener: Listener, clock: Clock) -> None:
    for number in range(20):
        listener.connect(number)
    listener.add_site()
    listener.age()
    host = Host(Netns("host"), State(listener.layout.directory.parents[1]))
    first = run(Renewal(host, host.state.hubs, RateLimit(clock)), clock, 1)
    assert 0 < sum(first) < 20
    done = list(listener.restarted)
    for name in done:
        listener.pushed(name)
    run(Renewal(host, host.state.hubs, RateLimit(clock)), clock, 10)
    assert len(listener.restarted) == len(set(listener.restarted)) == 20


def test_a_client_that_comes_back_without_it_is_not_ended_for_ever(
    listener: Listener, renewal: Renewal, clock: Clock
) -> None:
    listener.connect(1)
    listener.add_site()
    listener.age()
    assert sum(run(renewal, clock, 300)) == 1
    assert openvpn_push.changed_at(listener.layout) is not None, "it is still told as outdated"


def test_a_change_is_forgotten_once_all_have_it(listener: Listener, renewal: Renewal, clock: Clock) -> None:
    listener.connect(1)
    listener.add_site()
    listener.age()
    listener.is_heard = False
    run(renewal, clock, 1)
    assert openvpn_push.changed_at(listener.layout) is not None, "it is not known who is connected"
    listener.is_heard = True
    run(renewal, clock, 1)
    assert openvpn_push.changed_at(listener.layout) is not None
    listener.pushed(listener.sessions[0].common_name)
    run(renewal, clock, 1)
    assert openvpn_push.changed_at(listener.layout) is None


def test_a_session_of_before_the_agents_upgrade_begins_anew_at_the_next_change(
    listener: Listener, renewal: Renewal, clock: Clock
) -> None:
    listener.connect(1)
    (listener.layout.shown / f"{listener.sessions[0].common_name}.ou-{HUB}").write_text("7 1194\n")
    assert sum(run(renewal, clock, 1)) == 0
    listener.add_site()
    listener.age()
    assert sum(run(renewal, clock, 1)) == 1


def test_who_is_connecting_is_given_time(listener: Listener, renewal: Renewal, clock: Clock) -> None:
    listener.connect(1)
    old = listener.sessions[0]
    listener.sessions[0] = Session(old.common_name, 1, None, int(time.time()), 0, 0)
    listener.add_site()
    listener.age()
    assert renewal.run() == 0


def test_pages_count_on_the_same_rate() -> None:
    assert RENEWALS_PER_SECOND == RATE
