"""The portal's real processes with an admin's browser, and what both benchmarks of it do with them."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tests.lab.lab import Lab
from tests.lab.waiting import wait_until
from tests.running_portal import ROOT, RunningPortal
from tests.visitor import Visitor, forms_in


@dataclass(frozen=True)
class Added:
    """A peer that was added: its page, its profile, and the seconds from `started` (perf_counter) until that came."""

    path: str
    profile: str
    started: float
    seconds: float


@dataclass
class Bench:
    """A running portal on a laboratory's host, and an admin's browser."""

    lab: Lab
    portal: RunningPortal
    admin: Visitor

    def create_instance(self, hostname: str) -> tuple[str, float]:
        """Press the button; the instance's id and the seconds until it is ready."""
        form = {"name": f"Bench {hostname}", "hostname": hostname, "region": "local", "pool_prefix": "18"}
        page = self.admin.get("/instances/new/")
        data = forms_in(page.text)[0].fields | form
        started = time.perf_counter()
        answer = self.admin.http.post(page.url, data=data, headers={"Referer": page.url}, timeout=30)
        found = re.search(r"/instances/([0-9a-f-]{36})/", answer.url)
        assert found, answer.text
        wait_until(lambda: self._is_ready(found[1]), 60, "the instance to be ready")
        return found[1], time.perf_counter() - started

    def _is_ready(self, instance: str) -> bool:
        page = self.admin.get(f"/instances/{instance}/").text
        return "Ready" in page

    def fill(self, instance: str, number: int, protocol: str = "wireguard") -> dict[str, float]:
        """Bring the instance to that many peers; the seconds that issuing took, and then the hub to have them all."""
        return self.inside("tests.bench.seed", instance, str(number), protocol)

    def inside(self, module: str, *arguments: str) -> dict[str, float]:
        """Run a module of the benchmarks on the portal's data; the seconds that it prints, by name."""
        command = [sys.executable, "-m", module, *arguments]
        done = subprocess.run(command, cwd=ROOT, env=self.portal.environment, stdout=subprocess.PIPE, check=True)
        found: Any = json.loads(done.stdout)
        return {str(name): float(seconds) for name, seconds in found.items()}

    def add_peer(self, instance: str, device: str, protocol: str = "wireguard") -> Added:
        """Add a client peer and fetch its profile."""
        path = f"/instances/{instance}/peers/new-client/"
        page = self.admin.get(path)
        member = re.search(r'<option value="([0-9a-f-]{36})"', page.text)
        assert member
        values = {"user_id": [member[1]], "device": [device], "protocol": [protocol]}
        data = forms_in(page.text)[0].fields | values
        headers = {"Referer": page.url, "Accept": "text/plain"}
        started = time.perf_counter()
        answer = self.admin.http.post(
            page.url, data=data, headers={"Referer": page.url}, timeout=30, allow_redirects=False
        )
        peer = answer.headers["Location"]
        token = {"csrfmiddlewaretoken": data["csrfmiddlewaretoken"]}
        profile = self.admin.http.post(f"{self.portal.url}{peer}profile/", data=token, headers=headers, timeout=30)
        assert profile.status_code == 200, profile.text
        return Added(peer, profile.text, started, time.perf_counter() - started)

    def delete_peer(self, peer: Added) -> float:
        """Delete a peer; when that began (Unix time)."""
        page = self.admin.get(f"{peer.path}delete/")
        data = next(form.fields for form in forms_in(page.text) if "csrfmiddlewaretoken" in form.fields)
        started = time.time()
        answer = self.admin.http.post(page.url, data=data, headers={"Referer": page.url}, timeout=30)
        assert answer.status_code == 200, answer.text
        return started

    def page_seconds(self, instance: str) -> float:
        """Seconds to the first byte of the instance's page."""
        started = time.perf_counter()
        with self.admin.http.get(f"{self.portal.url}/instances/{instance}/", stream=True, timeout=30) as answer:
            next(answer.iter_content(1))
            return time.perf_counter() - started

    def memory(self) -> float:
        """Megabytes that the portal's processes and the hubs of this run hold (proportional set size)."""
        total = 0
        for pid in filter(str.isdigit, os.listdir("/proc")):
            with contextlib.suppress(OSError):
                with open(f"/proc/{pid}/environ", "rb") as file:
                    if str(self.portal.data).encode() not in file.read():
                        continue
                with open(f"/proc/{pid}/smaps_rollup") as file:
                    found = re.search(r"^Pss:\s+(\d+) kB", file.read(), re.MULTILINE)
                    total += int(found[1]) if found else 0
        return total / 1024


@contextlib.contextmanager
def bench() -> Iterator[Bench]:
    """Everything started, and ended."""
    with Lab() as lab, RunningPortal.of_story(lab.host.netns, lab.host.v4) as portal:
        yield Bench(lab, portal, portal.visitor())
