"""Why a profile is not handed out yet: said as it is, never "in a moment" where that is not so."""

from __future__ import annotations

import logging
from datetime import timedelta

import pytest
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.test import Client, override_settings
from django.urls import path
from django.utils import timezone

from portal.access import mark_checked
from portal.models import Membership, Organization
from portal.urls import urlpatterns as portal_urls
from tests.factories import BY, make_client_peer, make_instance
from vpn.actions.profiles.profile import deliver_profile, issue_link
from vpn.actions.profiles.refusals import HubNotReady
from vpn.choices import InstanceState
from vpn.jobs.reconcile import reconcile_all
from vpn.models import Instance, Tick

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "The hub is being updated"),
        ({"failure": "The disk is full."}, "did not reach it"),
        ({"state": InstanceState.FAILED}, "could not be created"),
        ({"state": InstanceState.LOST}, "does not answer"),
        ({"state": InstanceState.PROVISIONING}, "is being created"),
    ],
)
def test_a_profile_that_has_to_wait_says_for_what(
    organization: Organization, member: Membership, changes: dict[str, str], words: str
) -> None:
    instance = make_instance(organization)
    peer = make_client_peer(instance, member)
    Instance.objects.filter(pk=instance.pk).update(**changes)
    with pytest.raises(HubNotReady, match=words):
        deliver_profile(peer, by=BY)


def test_since_when_a_server_is_behind_is_noted_and_forgotten(organization: Organization, member: Membership) -> None:
    instance = make_instance(organization)

    def since() -> object:
        Tick.objects.all().delete()
        reconcile_all()
        return Instance.objects.values_list("lagging_since", flat=True).get(pk=instance.pk)

    assert since() is None
    make_client_peer(instance, member)
    first = since()
    assert first is not None
    assert since() == first, "the beginning stays"
    Instance.objects.filter(pk=instance.pk).update(applied_generation=10_000, desired_generation=10_000)
    assert since() is None
    assert timezone.now() - timedelta(minutes=1) < first  # type: ignore[operator]


def _requests(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    return [(record.levelname, record.name) for record in caplog.records if record.name == "django.request"]


def test_a_profile_that_is_not_there_yet_is_no_error_in_the_log(
    organization: Organization, member: Membership, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    peer = make_client_peer(make_instance(organization), member)
    token, _ = issue_link(peer, by=BY)
    client.force_login(member.user)
    answers = [
        client.post(f"/p/{token}/"),
        client.post(f"/peers/{peer.pk}/profile/"),
        client.get("/api/v1/vpn/client", headers={"authorization": f"Bearer {token}"}),
    ]
    assert [answer.status_code for answer in answers] == [503] * 3
    assert _requests(caplog) == [("INFO", "django.request")] * 3
    caplog.clear()
    logger = logging.getLogger("django.request")
    logger.setLevel(logging.WARNING)
    try:
        client.post(f"/peers/{peer.pk}/profile/")
    finally:
        logger.setLevel(logging.NOTSET)
    assert not _requests(caplog), "whoever wants warnings alone gets no information"


@login_not_required
def _fails(request: HttpRequest) -> HttpResponse:
    mark_checked(request)
    if "raise" in request.GET:
        raise RuntimeError
    return HttpResponse(status=503)


urlpatterns = [*portal_urls, path("fails/", _fails)]


@override_settings(ROOT_URLCONF=__name__)
def test_other_failures_stay_errors_in_the_log(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    client.raise_request_exception = False
    assert client.get("/fails/").status_code == 503
    assert client.get("/fails/?raise").status_code == 500
    assert _requests(caplog) == [("ERROR", "django.request")] * 2
