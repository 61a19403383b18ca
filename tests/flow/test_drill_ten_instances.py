"""Drill: ten instances at once in three regions; two calls of the cloud fail, a server dies, and workers are killed.

Each ends ready or failed with a reason, one that failed is ready after "Try again", and nothing is left of any.
"""

from __future__ import annotations

import json
import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import pytest
import requests

from tests.flow.story import add_client, fetch_profile
from tests.lab.cloud import LabCloud
from tests.lab.ec2 import REGION
from tests.lab.lab import Lab
from tests.lab.server import ROOT, LabServer
from tests.lab.waiting import wait_until
from tests.running_portal import ADMIN_EMAIL, RunningPortal

pytestmark = [
    pytest.mark.flow,
    pytest.mark.network,
    pytest.mark.skipif(not os.environ.get("DRILL"), reason="takes some minutes: make drill"),
]

# The nodes install packages meanwhile, and a dead worker's claims last 45 s.
SETTLED_WITHIN = 600.0
GONE_WITHIN = 300.0
LOST_AFTER = "20"
REGIONS = {"local": 3, "fra": 4, "cloud": 3}
# The server that dies takes two, so the region's others are built on the other one.
CAPACITIES = {"fra1": "2", "fra2": "6"}
NODE_CAPACITY = "2"


class Api:
    """The API as the organization's program calls it."""

    def __init__(self, portal: RunningPortal) -> None:
        self._url = f"{portal.url}/api/v1/vpn/instances"
        self._headers = {"Authorization": f"Bearer {portal.manage('api_token', ADMIN_EMAIL)}"}

    def call(self, method: str, path: str = "", **body: str) -> Any:
        """Call, and return what was answered."""
        sent = {"json": body} if body else {}
        answer = requests.request(method, f"{self._url}{path}", headers=self._headers, timeout=60, **sent)  # type: ignore[arg-type]
        assert answer.ok, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    def create(self, numbered: tuple[int, str]) -> None:
        """Create an instance in a region."""
        number, region = numbered
        self.call("POST", name=f"Hub {number}", hostname=f"ten-{number}", region=region)

    def instances(self) -> dict[str, dict[str, Any]]:
        """The instances by id."""
        return {one["id"]: one for one in self.call("GET")}

    def in_state(self, state: str) -> set[str]:
        """The ids of the instances in a state."""
        return {pk for pk, one in self.instances().items() if one["state"] == state}

    def reason(self, pk: str) -> str:
        """Why the last operation of an instance failed."""
        operation = self.call("GET", f"/{pk}/operations")[0]
        assert operation["state"] == "failed", operation
        return " ".join(step["message"] for step in operation["steps"] if step["state"] == "failed")

    def told(self) -> str:
        """Every instance with the steps of its last operation, for a test that fails."""
        lines = []
        for pk, one in self.instances().items():
            last = self.call("GET", f"/{pk}/operations")[0]
            steps = [f"{step['name']} {step['state']} {step['message']}" for step in last["steps"]]
            lines.append(f"{one['name']} ({one['region']}): {one['state']}, {last['kind']} {last['state']}: {steps}")
        return "\n".join(lines)


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    """A laboratory of this drill's own."""
    if not (ROOT / ".packages").exists():
        pytest.skip("there is no root for servers: .ci/server-root says why")
    with Lab() as laboratory:
        yield laboratory


@pytest.fixture(scope="module")
def servers(lab: Lab) -> Iterator[dict[str, LabServer]]:
    """Two servers, of which the first will die."""
    with ExitStack() as stack:
        yield {name: stack.enter_context(LabServer(lab, name)) for name in CAPACITIES}


@pytest.fixture(scope="module")
def cloud(lab: Lab) -> Iterator[LabCloud]:
    """EC2 on loopback."""
    with LabCloud(lab) as made:
        yield made


@pytest.fixture(scope="module")
def portal(lab: Lab, servers: dict[str, LabServer], cloud: LabCloud) -> Iterator[RunningPortal]:
    """A portal with three regions: its own machine, servers over SSH, and the cloud."""
    with RunningPortal.of_story(lab.host.netns, lab.host.v4) as running:
        running.manage("region", "add", "fra", "Frankfurt")
        running.manage("region", "set", "fra", "--rebuild-lost", "yes", "--lost-after", LOST_AFTER)
        # The first to be added is the first that takes hubs.
        for name, server in servers.items():
            add_server(running, name, server)
        with ThreadPoolExecutor() as pool:
            list(pool.map(lambda name: running.manage("server", "prepare", name), servers))
        add_cloud(running, cloud)
        with running.visitor() as staff:
            (path,) = set(re.findall(r"/admin/portal/organization/[^/]+/change/", staff.get(ORGANIZATIONS).text))
            staff.submit(path, {"most_provisioning": str(sum(REGIONS.values()))})
        yield running


ORGANIZATIONS = "/admin/portal/organization/"


def add_server(portal: RunningPortal, name: str, server: LabServer) -> None:
    """Add a server, which can be prepared then."""
    address = server.node.v4
    places = ("--ssh", f"root@{address}", "--address", address, "--capacity", CAPACITIES[name])
    added = json.loads(portal.manage("server", "add", "fra", name, *places))
    server.authorise(added["authorized_key"])
    portal.manage("server", "confirm", name, "--host-key", added["host_key"])


def add_cloud(portal: RunningPortal, cloud: LabCloud) -> None:
    """Add the region of the cloud."""
    file = portal.data / "cloud-secret"
    file.write_text("a-secret-of-the-cloud-account")
    settings = ["--provider", "ec2", "--key", "AKIAEXAMPLE", "--secret-file", str(file), "--location", REGION]
    settings += ["--size", "t3.small", "--image", cloud.api.image, "--endpoint", cloud.api.endpoint]
    portal.manage("region", "add", "cloud", "Cloud", "--driver", "cloud", "--capacity", NODE_CAPACITY, *settings)


@pytest.fixture(scope="module")
def api(portal: RunningPortal) -> Api:
    """The API of the portal."""
    return Api(portal)


def state_of(portal: RunningPortal, server: str) -> str:
    """The state of a server."""
    states: dict[str, str] = {
        row["name"]: row["state"] for row in json.loads(portal.manage("server", "list", "--json"))
    }
    return states[server]


def hubs_on(server: LabServer) -> str:
    """The namespaces of hubs on a server."""
    return server.run(["ip", "netns", "list"]).stdout.strip()


def kill_provisioning(portal: RunningPortal) -> None:
    """Kill every worker that provisions."""
    for name in ("provision", "spare"):
        pid = portal.pid(name)
        if pid:  # a spare worker runs on demand
            os.kill(pid, signal.SIGKILL)


def strike(what: str, is_time: Callable[[], object], act: Callable[[], None]) -> None:
    """Do something as soon as it is time for it."""
    wait_until(is_time, SETTLED_WITHIN, what)
    act()


def test_all_end_ready_or_failed(
    lab: Lab, portal: RunningPortal, api: Api, cloud: LabCloud, servers: dict[str, LabServer]
) -> None:
    cloud.api.refuse("RunInstances", "InsufficientInstanceCapacity", 500)
    cloud.api.lose("RunInstances")
    wanted = enumerate(region for region, number in REGIONS.items() for _ in range(number))
    began = time.monotonic()
    with ThreadPoolExecutor(sum(REGIONS.values()) + 2) as pool:
        dying = pool.submit(strike, "a hub on fra1", lambda: hubs_on(servers["fra1"]), servers["fra1"].die)
        killing = pool.submit(strike, "a hub here", lab.hubs, lambda: kill_provisioning(portal))
        list(pool.map(api.create, wanted))
        created = time.monotonic() - began
        dying.result()
        killing.result()
    wait_until(lambda: "The process provision ended (-9)" in portal.logs(), 60, "the end of the worker", portal.logs)
    wait_until(lambda: state_of(portal, "fra1") == "lost", SETTLED_WITHIN, "the server to be lost", portal.logs)
    wait_until(lambda: not unsettled(api), SETTLED_WITHIN, "the end of all", lambda: api.told() + portal.logs())
    settled = time.monotonic() - began
    assert not cloud.api.faults, "both calls failed"
    print(f"ten requests took {created:.1f} s; all were ready or failed after {settled:.0f} s")
    reasons = {one["name"]: api.reason(pk) for pk, one in api.instances().items() if one["state"] == "failed"}
    print(f"{len(reasons)} failed: {reasons}")
    assert all(re.fullmatch(r"\w+ .+ .+\.", reason) for reason in reasons.values()), api.told()


def unsettled(api: Api) -> set[str]:
    """The instances that are neither ready nor failed."""
    return set(api.instances()) - api.in_state("ready") - api.in_state("failed")


def test_one_that_failed_is_ready_after_trying_again(api: Api, portal: RunningPortal) -> None:
    # The others are deleted as they are.
    tried = sorted(api.in_state("failed"), key=lambda pk: str(api.instances()[pk]["name"]))[::2]
    for pk in tried:
        api.call("POST", f"/{pk}/retry")
    wait_until(
        lambda: set(tried) <= api.in_state("ready"),
        SETTLED_WITHIN,
        "them to be ready",
        lambda: api.told() + portal.logs(),
    )


@pytest.mark.parametrize("region", REGIONS)
def test_a_client_reaches_its_hub(lab: Lab, portal: RunningPortal, api: Api, region: str) -> None:
    ready = api.in_state("ready")
    instance = next(one for pk, one in api.instances().items() if one["region"] == region and pk in ready)
    laptop = lab.add_client(f"laptop-{region}")
    with portal.visitor() as admin:
        peer = add_client(admin, instance["id"], device=laptop.name, route_all="false")
        lab.wg_quick_up(laptop, fetch_profile(admin, peer))
    lab.wait_ping(laptop, instance["addresses"][0].partition("/")[0], 60)
    lab.wg_quick_down(laptop)


def test_nothing_is_left_of_them(
    lab: Lab, portal: RunningPortal, api: Api, cloud: LabCloud, servers: dict[str, LabServer]
) -> None:
    for pk in api.instances():
        api.call("DELETE", f"/{pk}")
    wait_until(lambda: not api.instances(), GONE_WITHIN, "the end of all", lambda: api.told() + portal.logs())
    wait_until(lambda: not cloud.api.nodes(), GONE_WITHIN, "the end of the nodes", portal.logs)
    wait_until(lambda: not cloud.api.groups(), GONE_WITHIN, "the end of the security groups", portal.logs)
    wait_until(lambda: "cloud-" not in portal.manage("server", "list"), GONE_WITHIN, "the end of their rows")
    assert not hubs_on(servers["fra2"])
    assert not lab.hubs()
    portal.manage("server", "forget", "fra1")
    logs = portal.logs()
    assert "Traceback" not in logs, logs
