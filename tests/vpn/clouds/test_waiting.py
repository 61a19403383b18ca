"""Steps that wait for a cloud's server say why as soon as a call fails, and no longer than that."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse

from portal.models import Membership, Organization
from tests.factories import BY
from tests.lab.ec2 import Ec2
from tests.vpn.api.caller import Caller
from tests.vpn.clouds.made import make_instance, the_node, work
from vpn.actions.instances.move import move_instance
from vpn.choices import NodeState
from vpn.jobs.knock import give_probe
from vpn.jobs.move import go_on_moving
from vpn.jobs.nodes import look_at_node
from vpn.models import CloudAccount, Instance, Region

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("servers")]
SILENT = "http://127.0.0.1:9"
WHY = f"{SILENT} does not answer: let the portal reach it"
AGAIN = "The portal tries again by itself."


def test_an_instance_says_why_its_order_waits_until_the_cloud_answers(
    ec2: Ec2,
    organization: Organization,
    region: Region,
    account: CloudAccount,
    admin: Membership,
    admin_browser: Client,
) -> None:
    CloudAccount.objects.update(endpoint=SILENT)
    instance = make_instance(organization, region)
    work()

    def said() -> tuple[str, str]:
        """The page, and the message of the running step in the API."""
        operations = Caller.of(admin).get(f"/instances/{instance.pk}/operations").json()
        (message,) = [step["message"] for step in operations[0]["steps"] if step["state"] == "running"]
        return admin_browser.get(reverse("instance_progress", args=[instance.pk])).content.decode(), message

    for text in said():
        assert WHY in text
        assert text.count(AGAIN) == 1
    CloudAccount.objects.update(endpoint=ec2.endpoint)
    look_at_node(str(the_node().server_id))
    assert the_node().state == NodeState.BOOTING
    for text in said():
        assert AGAIN not in text
    CloudAccount.objects.update(endpoint=SILENT)
    look_at_node(str(the_node().server_id))
    for text in said():
        assert WHY in text
    CloudAccount.objects.update(endpoint=ec2.endpoint)
    look_at_node(str(the_node().server_id))
    assert (the_node().state, the_node().failures) == (NodeState.BOOTING, 0)
    for text in said():
        assert AGAIN not in text


def test_a_move_says_why_its_order_waits(
    instance: Instance, region: Region, account: CloudAccount, admin_browser: Client
) -> None:
    CloudAccount.objects.update(endpoint=SILENT)
    give_probe(instance)
    instance.save()
    move_instance(instance, region, by=BY)
    go_on_moving(str(instance.pk))
    look_at_node(str(the_node().server_id))
    page = admin_browser.get(reverse("instance_progress", args=[instance.pk])).content.decode()
    assert WHY in page
    assert AGAIN in page
