"""The sealing keys are rotated while the portal runs, four programs write and a tunnel carries traffic."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.flow.story import add_client, fetch_profile, id_in
from tests.lab.lab import Lab
from tests.lab.waiting import wait_until
from tests.running_portal import ADMIN_EMAIL, ROOT, RunningPortal

sys.path.insert(0, str(ROOT / ".ci"))
from postgres import postgres  # type: ignore[import-not-found]

pytestmark = [pytest.mark.flow, pytest.mark.network]
DRILL = bool(os.environ.get("DRILL"))
ROTATIONS = 10 if DRILL else 1
WRITERS = 4
# Run by `manage.py shell`: opens every secret with what is in KEYS alone, and counts what could be opened and what not.
COUNT = """
import os
from django.conf import settings
from portal.reseal import sealed_columns
from portal.sealing import Sealed, UnsealError
settings.SECRET_KEYS_FILE, settings.SECRET_KEYS = None, os.environ["KEYS"].split()
opened = closed = 0
for model, _ in sealed_columns():
    for row in model.objects.all():
        for name, each in vars(model).items():
            if isinstance(each, Sealed) and getattr(row, each.column):
                try:
                    getattr(row, name)
                    opened += 1
                except UnsealError:
                    closed += 1
print(opened, closed)
"""


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    """A laboratory of this story's own: portals with keys of their own run on its host."""
    with Lab() as laboratory:
        yield laboratory


@pytest.fixture(params=["sqlite", "postgresql"])
def running(request: pytest.FixtureRequest, lab: Lab) -> Iterator[RunningPortal]:
    """The portal's real processes on each database."""
    with ExitStack() as stack:
        environment = {}
        if request.param == "postgresql":
            environment["DATABASE_URL"] = stack.enter_context(postgres())
            # The portal's web process, without rights, passes through the directory to the socket.
            Path(environment["DATABASE_URL"].partition("@/")[2]).parent.chmod(0o711)
        portal = RunningPortal.of_story(lab.host.netns, lab.host.v4, **environment)
        yield stack.enter_context(portal)


@dataclass
class Writer:
    """A program that adds devices, renews their keys and takes some away, over the API, until it is told to stop."""

    url: str
    token: str
    instance: str
    user: str
    number: int
    stop: threading.Event
    done: int = 0
    refused: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)

    def run(self) -> None:
        """Write, and note what was refused."""
        with requests.Session() as http:
            http.headers["Authorization"] = f"Bearer {self.token}"
            base = f"{self.url}/api/v1/vpn"
            peers = f"{base}/instances/{self.instance}/peers"
            while not self.stop.is_set():
                device = f"device-{self.number}-{self.done}"
                body: dict[str, Any] = {"type": "client", "protocol": "wireguard", "device": device}
                body |= {"user_id": self.user, "route_all": False}
                headers = {"Idempotency-Key": device}
                made = self._note(http.post(peers, json=body, headers=headers, timeout=60))
                if made is None:
                    continue
                peer = made.json()["id"]
                self._note(http.post(f"{peers}/{peer}/rotate", timeout=60))
                if self.done % 3 == 0:
                    self._note(http.delete(f"{peers}/{peer}", timeout=60))
                else:
                    self.kept.append(peer)
                self.done += 1

    def _note(self, answer: requests.Response) -> requests.Response | None:
        # A busy database and a limit on calls are answers of a portal that works.
        if answer.status_code in {429, 503}:
            time.sleep(0.2)
            return None
        if answer.status_code >= 400:
            self.refused.append(f"{answer.request.method} {answer.status_code} {answer.text[:200]}")
            return None
        return answer


def count_secrets(portal: RunningPortal, keys: str) -> tuple[int, int]:
    """How many secrets these keys open, and how many they do not."""
    portal.environment["KEYS"] = keys
    opened, closed = portal.manage("shell", "-v", "0", "-c", COUNT).split()
    return int(opened), int(closed)


def test_the_keys_are_rotated_under_traffic_and_the_old_one_opens_nothing(lab: Lab, running: RunningPortal) -> None:
    keys = running.data / "keys" / "secret_keys"
    first = keys.read_text().strip()
    admin = running.visitor()
    created = admin.submit("/instances/new/", {"name": "Frankfurt hub", "hostname": "fra", "region": "local"})
    instance = id_in(created, "instances")
    wait_until(lambda: "Ready" in admin.get(f"/instances/{instance}/").text, 120, "the instance to be ready")
    device = lab.add_client(f"rot{os.urandom(2).hex()}")
    mine = add_client(admin, instance, device="laptop")
    lab.wg_quick_up(device, fetch_profile(admin, mine))
    lab.wait_ping(device, "100.64.0.1", 60)
    ping = lab.start_ping(device, "100.64.0.1")
    ping.wait_for_replies(3, 60)

    token, stop = running.manage("api_token", ADMIN_EMAIL), threading.Event()
    own = {"Authorization": f"Bearer {token}"}
    user = requests.get(f"{running.url}/api/v1/vpn/users", headers=own, timeout=60).json()[0]["id"]
    writers = [Writer(running.url, token, instance, user, number, stop) for number in range(WRITERS)]
    threads = [threading.Thread(target=writer.run) for writer in writers]
    for thread in threads:
        thread.start()
    try:
        wait_until(lambda: all(writer.done for writer in writers), 120, "every writer to have written")
        begun = time.monotonic()
        for _ in range(ROTATIONS):
            before = [writer.done for writer in writers]
            running.manage("rotate_secrets", "--new-key")
            wait_until(partial(_all_went_on, writers, before), 120, "every writer to go on")
        spent = time.monotonic() - begun
    finally:
        stop.set()
        for thread in threads:
            thread.join(120)
    assert not [refusal for writer in writers for refusal in writer.refused]
    assert len(keys.read_text().split()) == ROTATIONS + 1
    running.manage("rotate_secrets", "--forget-old-keys", "--wait", "0")

    [newest] = keys.read_text().split()
    assert newest != first
    opened, closed = count_secrets(running, newest)
    assert (opened > 0, closed) == (True, 0)
    assert count_secrets(running, first) == (0, opened)
    ping.wait_for_replies(3, 60)
    pinged, written = ping.stop(), sum(writer.done for writer in writers)
    print(f"{ROTATIONS} rotations in {spent:.1f} s, {written} devices meanwhile, {opened} secrets, {pinged}")
    # Keys of tunnels stay as they are. A busy machine may drop a packet; a tunnel that began anew would lose many.
    assert pinged.lost <= 3
    # The processes were never started anew: what they deliver now is sealed under a key that they had not begun with.
    assert "[Interface]" in fetch_profile(admin, add_client(admin, instance, device="tablet"))
    assert "PrivateKey" in fetch_profile(admin, next(peer for writer in writers for peer in writer.kept))
    assert running.is_healthy()


def _all_went_on(writers: list[Writer], before: list[int]) -> bool:
    return all(writer.done > done for writer, done in zip(writers, before, strict=True))
