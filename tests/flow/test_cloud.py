"""A region in a cloud: a server is ordered, boots with its user data, carries packets, and goes with its last hub."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tests.flow.story import add_client, fetch_profile, id_in
from tests.lab.cloud import LabCloud
from tests.lab.ec2 import REGION
from tests.lab.lab import Lab
from tests.lab.server import ROOT
from tests.lab.waiting import wait_until
from tests.running_portal import RunningPortal
from tests.shared_portal import Tenant
from tests.visitor import Visitor

# Other stories would be offered its region.
pytestmark = [pytest.mark.own_portal, pytest.mark.flow, pytest.mark.network, pytest.mark.long]

# Packages are installed meanwhile; the machine may be busy.
READY_WITHIN = 400.0
GONE_WITHIN = 120.0
SECRET = "a-secret-of-the-cloud-account"
# The story is one: each test goes on where the one before it ended.
story: dict[str, str] = {}


@pytest.fixture(scope="module")
def cloud(lab: Lab) -> Iterator[LabCloud]:
    """EC2 on loopback, whose nodes are servers of the laboratory."""
    if not (ROOT / ".packages").exists():
        pytest.skip("there is no root for servers: .ci/server-root says why")
    with LabCloud(lab) as made:
        yield made


@pytest.fixture(scope="module")
def admin(tenant: Tenant, cloud: LabCloud) -> Visitor:
    """The admin's browser. The cloud is there until the story's hubs are deleted."""
    return tenant.visitor()


def test_staff_add_a_region_and_test_its_credentials(portal: RunningPortal, cloud: LabCloud, admin: Visitor) -> None:
    file = portal.data / "cloud-secret"
    file.write_text(SECRET)
    settings = ["--provider", "ec2", "--key", "AKIAEXAMPLE", "--secret-file", str(file), "--location", REGION]
    settings += ["--size", "t3.small", "--image", cloud.api.image, "--endpoint", cloud.api.endpoint]
    portal.manage("region", "add", "cloud", "Cloud", "--driver", "cloud", *settings)
    assert "credentials work" in portal.manage("region", "test", "cloud")


def test_an_instance_there_gets_a_server(lab: Lab, portal: RunningPortal, cloud: LabCloud, admin: Visitor) -> None:
    values = {"name": "Hub cloud", "hostname": "cloud-hub", "region": "cloud"}
    created = admin.submit("/instances/new/", values)
    story["instance"] = id_in(created, "instances")
    page = f"/instances/{story['instance']}/progress/"
    assert "Order a server" in admin.get(page).text
    wait_until(lambda: "The hub is ready" in admin.get(page).text, READY_WITHIN, "the hub", portal.logs)
    (server,) = cloud.servers.values()
    story["address"] = server.node.v4
    assert "cloud-init" not in server.run(["cat", "/etc/ssh/ssh_host_ed25519_key.pub"]).stdout
    made = server.run(["cat", "/var/lib/cloud/instance/user-data.txt"]).stdout
    used = server.run(["cat", "/etc/ssh/ssh_host_ed25519_key.pub"]).stdout.split()[1]
    assert "ssh_keys" in made
    assert used not in made, "the server uses a host key that it made itself"
    assert not lab.hubs(), "nothing of it runs on the portal's own machine"


def test_a_stock_client_connects(lab: Lab, admin: Visitor) -> None:
    laptop = lab.add_client("laptop")
    peer = add_client(admin, story["instance"], device="laptop", route_all="true")
    profile = fetch_profile(admin, peer)
    assert f"Endpoint = {story['address']}:" in profile
    hub = re.search(r"^DNS = (100\.[0-9.]+)", profile, re.MULTILINE)
    assert hub
    lab.wg_quick_up(laptop, profile)
    lab.wait_ping(laptop, hub[1])
    lab.wait_ping(laptop, lab.outside.v4)


def test_its_end_leaves_nothing_in_the_cloud(portal: RunningPortal, cloud: LabCloud, tenant: Tenant) -> None:
    assert [len(ports) for ports in cloud.api.groups().values()] == [2]
    tenant.delete_instances()
    wait_until(lambda: not cloud.api.nodes(), GONE_WITHIN, "the end of the node", portal.logs)
    wait_until(lambda: not cloud.api.groups(), GONE_WITHIN, "the end of the security group", portal.logs)
    wait_until(lambda: portal.manage("server", "list").count("cloud-") == 0, GONE_WITHIN, "the end of its row")


def test_no_secret_is_in_the_logs(tenant: Tenant) -> None:
    logs = tenant.logs()
    assert "PRIVATE KEY" not in logs
    assert SECRET not in logs
    assert "Traceback" not in logs
