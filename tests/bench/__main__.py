"""The figures that the product is judged by, measured page to packet with the portal's real processes."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from tests.network.lab import Lab, wait_until
from tests.running_portal import ROOT, RunningPortal
from tests.visitor import Visitor, forms_in

SIZES = (10, 1_000, 5_000)
RUNS = 15
PAGES = 40
INTERFACE = "wg9"
DEVICE = Path(__file__).with_name("device.py")


@dataclass
class Bench:
    """A running portal, an admin's browser, and a device whose tunnel interface waits for a profile."""

    portal: RunningPortal
    admin: Visitor
    device: subprocess.Popen[str]

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

    def fill(self, instance: str, number: int) -> None:
        """Bring the instance to that many peers, and wait until its hub has them."""
        command = [sys.executable, "-m", "tests.bench.seed", instance, str(number)]
        subprocess.run(command, cwd=ROOT, env=self.portal.environment, check=True)
        wait_until(lambda: self._settled(instance), 120, f"{number} peers on the hub")

    def _settled(self, instance: str) -> bool:
        code = f"from vpn.models import Instance; print(Instance.objects.get(pk='{instance}').server_ready)"
        return self.portal.manage("shell", "--verbosity", "0", "-c", code).endswith("True")

    def add_peer(self, instance: str, count: int) -> tuple[float, float]:
        """Add a client peer; seconds until its profile was handed out, and until its first handshake."""
        path = f"/instances/{instance}/peers/new-client/"
        page = self.admin.get(path)
        member = re.search(r'<option value="([0-9a-f-]{36})"', page.text)
        assert member
        data = forms_in(page.text)[0].fields | {"user_id": [member[1]], "device": [f"new {count}"]}
        headers = {"Referer": page.url, "Accept": "text/plain"}
        started = time.perf_counter()
        answer = self.admin.http.post(
            page.url, data=data, headers={"Referer": page.url}, timeout=30, allow_redirects=False
        )
        peer = answer.headers["Location"]
        token = {"csrfmiddlewaretoken": data["csrfmiddlewaretoken"]}
        profile = self.admin.http.post(f"{self.portal.url}{peer}profile/", data=token, headers=headers, timeout=30)
        assert profile.status_code == 200, profile.text
        delivered = time.perf_counter() - started
        self._connect(profile.text)
        return delivered, time.perf_counter() - started

    def _connect(self, profile: str) -> None:
        """Give the device its profile and wait for the handshake."""
        assert self.device.stdin is not None
        assert self.device.stdout is not None
        self.device.stdin.write(json.dumps(profile) + "\n")
        self.device.stdin.flush()
        assert self.device.stdout.readline() == "connected\n"

    def page_seconds(self, instance: str) -> float:
        """Seconds to the first byte of the instance's page."""
        started = time.perf_counter()
        with self.admin.http.get(f"{self.portal.url}/instances/{instance}/", stream=True, timeout=30) as answer:
            next(answer.iter_content(1))
            return time.perf_counter() - started


@contextlib.contextmanager
def bench() -> Iterator[Bench]:
    """Everything started, and ended."""
    with Lab() as lab, RunningPortal(host_netns=lab.host.netns, hub_address=lab.host.v4) as portal:
        node = lab.add_client("device")
        lab.run(node, ["wireguard-go", INTERFACE])
        lab.run(node, ["ip", "link", "set", INTERFACE, "up"])
        command = lab.argv(node, [sys.executable, str(DEVICE), f"/run/wireguard/{INTERFACE}.sock"])
        with subprocess.Popen(command, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as device:
            try:
                yield Bench(portal, portal.visitor(), device)
            finally:
                device.kill()


def memory(portal: RunningPortal) -> float:
    """Megabytes that the portal's processes and the hubs of this run hold (proportional set size)."""
    total = 0
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            with open(f"/proc/{pid}/environ", "rb") as file:
                if str(portal.data).encode() not in file.read():
                    continue
            with open(f"/proc/{pid}/smaps_rollup") as file:
                found = re.search(r"^Pss:\s+(\d+) kB", file.read(), re.MULTILINE)
                total += int(found[1]) if found else 0
    return total / 1024


def say(what: str, figure: str) -> None:
    """Print one figure."""
    sys.stdout.write(f"{what:<72}{figure:>14}\n")
    sys.stdout.flush()


def main() -> None:
    """Measure and print."""
    sys.stdout.write(f"{platform.platform()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}\n")
    with bench() as run:
        ready = [run.create_instance(f"bench{number}")[1] for number in range(5)]
        say("Local instance, from the button to ready (median of 5)", f"{median(ready):.2f} s")
        instance, _ = run.create_instance("benchmany")
        handshakes = {}
        for size in SIZES:
            run.fill(instance, size)
            added = [run.add_peer(instance, count) for count in range(RUNS)]
            handshakes[size] = median(seconds for _, seconds in added)
            delivered = median(seconds for seconds, _ in added)
            say(f"{size} peers: adding one, POST to profile in hand (median of {RUNS})", f"{delivered * 1000:.0f} ms")
            say(f"{size} peers: adding one, POST to first handshake", f"{handshakes[size] * 1000:.0f} ms")
            pages = median(run.page_seconds(instance) for _ in range(PAGES))
            say(f"{size} peers: the instance page, to the first byte", f"{pages * 1000:.0f} ms")
        say("First handshake at 1,000 peers over 10 peers", f"{handshakes[1_000] / handshakes[10]:.2f}")
        say("Memory of portal and hubs at the end", f"{memory(run.portal):.0f} MB")


if __name__ == "__main__":
    main()
