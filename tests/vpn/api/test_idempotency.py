"""A POST that is repeated with its key is done once."""

from __future__ import annotations

import threading
import time
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.http import HttpResponse
from django.utils import timezone

from portal.models import Membership, Organization
from tests import factories
from tests.vpn.api.caller import Caller, refused, told
from vpn.models import IdempotencyKey, Instance, Peer, Site

NEW = {"name": "Berlin", "platform": "linux", "subnets": []}


def test_a_repeated_post_is_answered_again_and_not_done_again(api: Caller, admin: Membership) -> None:
    first = api.post("/sites", NEW, Idempotency_Key="k1")
    second = api.post("/sites", NEW, Idempotency_Key="k1")
    assert told(first, 201) == told(second, 201)
    assert (second["Idempotent-Replayed"], second["ETag"]) == ("true", first["ETag"])
    assert second["Content-Type"] == "application/json"
    assert Site.objects.count() == 1


def test_a_key_is_for_one_request(api: Caller, admin: Membership) -> None:
    told(api.post("/sites", NEW, Idempotency_Key="k1"), 201)
    refused(api.post("/sites", {**NEW, "name": "Bonn"}, Idempotency_Key="k1"), 409, "idempotency-key-reused")
    refused(api.post("/users", NEW, Idempotency_Key="k1"), 409, "idempotency-key-reused")
    assert Site.objects.count() == 1


def test_a_key_is_the_members_own(api: Caller, stranger_api: Caller) -> None:
    mine = told(api.post("/sites", NEW, Idempotency_Key="k1"), 201)
    theirs = told(stranger_api.post("/sites", NEW, Idempotency_Key="k1"), 201)
    assert mine["id"] != theirs["id"]


def test_a_refused_post_may_be_mended(api: Caller, admin: Membership) -> None:
    refused(api.post("/sites", {"name": "Berlin"}, Idempotency_Key="k1"), 422)
    told(api.post("/sites", NEW, Idempotency_Key="k1"), 201)


def test_a_key_is_forgotten_after_a_day(api: Caller, admin: Membership) -> None:
    told(api.post("/sites", NEW, Idempotency_Key="k1"), 201)
    IdempotencyKey.objects.update(created_at=timezone.now() - timedelta(hours=25))
    told(api.post("/sites", {**NEW, "name": "Bonn"}, Idempotency_Key="k1"), 201)
    assert IdempotencyKey.objects.count() == 1


def test_of_each_member_the_newest_answers_are_kept(
    api: Caller, stranger_api: Caller, admin: Membership, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many keys a program uses, the table does not grow without end."""
    monkeypatch.setattr("vpn.api.protocol.idempotency.MOST_KEPT", 3)
    told(stranger_api.post("/sites", NEW, Idempotency_Key="theirs"), 201)
    for number in range(5):
        told(api.post("/sites", {**NEW, "name": f"Site {number}"}, Idempotency_Key=f"k{number}"), 201)
    kept = IdempotencyKey.objects.order_by("created_at").values_list("key", flat=True)
    assert list(kept) == ["theirs", "k2", "k3", "k4"]
    repeated = api.post("/sites", {**NEW, "name": "Site 2"}, Idempotency_Key="k2")
    assert (repeated.status_code, repeated["Idempotent-Replayed"]) == (201, "true")


@pytest.mark.parametrize("key", ["", "x" * 256, "ü"])
def test_a_key_that_cannot_be_kept_is_refused(api: Caller, admin: Membership, key: str) -> None:
    assert list(refused(api.post("/sites", NEW, Idempotency_Key=key), 422)["errors"]) == ["Idempotency-Key"]


def test_a_share_token_is_repeated_and_kept_sealed(api: Caller, client_peer: Peer) -> None:
    path = f"/instances/{client_peer.instance_id}/peers/{client_peer.pk}/token"
    first = told(api.post(path, Idempotency_Key="k1"), 201)
    assert told(api.post(path, Idempotency_Key="k1"), 201)["token"] == first["token"]
    kept = IdempotencyKey.objects.get()
    assert first["token"] not in kept.answer_sealed
    assert first["token"] in kept.answer


def test_work_that_fails_at_the_end_leaves_nothing(
    api: Caller, admin: Membership, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_response: HttpResponse) -> str:
        raise RuntimeError

    api.client.raise_request_exception = False
    with monkeypatch.context() as patch:
        patch.setattr("vpn.api.protocol.idempotency._recorded", fail)
        refused(api.post("/sites", NEW, Idempotency_Key="k1"), 500)
    assert (Site.objects.count(), IdempotencyKey.objects.count()) == (0, 0)
    told(api.post("/sites", NEW, Idempotency_Key="k1"), 201)


@pytest.mark.django_db(transaction=True)
def test_two_at_once_are_done_once() -> None:
    organization: Organization = factories.make_organization()
    instance: Instance = factories.make_instance(organization)
    api = Caller.of(factories.an_admin(organization))
    member = factories.make_member(organization)
    wanted = {"type": "client", "user_id": str(member.pk), "route_all": False}
    path = f"/instances/{instance.pk}/peers"
    answers: list[Any] = []

    def post() -> None:
        try:
            caller, deadline = Caller(api.token), time.monotonic() + 30
            response = caller.post(path, wanted, Idempotency_Key="k1")
            # SQLite in memory, as in tests, does not wait for a lock; a client that is told so tries again.
            while response.status_code == 503 and time.monotonic() < deadline:
                response = caller.post(path, wanted, Idempotency_Key="k1")
            answers.append(told(response, 201))
        finally:
            connection.close()

    threads = [threading.Thread(target=post) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(answers) == 4
    assert {answer["id"] for answer in answers} == {str(Peer.objects.get().pk)}
