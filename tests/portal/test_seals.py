"""A database without its keys: the start stops with a sentence, and nothing claims to be well."""

from __future__ import annotations

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from pytest_django import Settings

from portal import seals
from portal.models import Membership
from tests.factories import make_client_peer, settle
from vpn.choices import OperationState
from vpn.jobs.apply import apply_instance
from vpn.models import Instance

pytestmark = pytest.mark.django_db
ANOTHER = "another-key-that-sealed-nothing-so-far"


@pytest.fixture
def keyless(instance: Instance, admin: Membership, settings: Settings) -> Instance:
    """An instance with a device, after its keys were replaced by a new one."""
    settle(instance)
    make_client_peer(instance, admin)
    settings.SECRET_KEYS = [ANOTHER]
    return instance


def test_with_its_keys_nothing_is_wrong(instance: Instance, admin: Membership, settings: Settings) -> None:
    make_client_peer(instance, admin)
    assert seals.complaint() == ""
    settings.SECRET_KEYS = [ANOTHER, *settings.SECRET_KEYS]
    assert seals.complaint() == "", "an older key opens what it sealed"


def test_the_start_stops_and_says_which_key_to_put_back(keyless: Instance) -> None:
    with pytest.raises(CommandError) as stopped:
        call_command("prepare")
    for part in ("1 instances", "1 peers", "secret_keys", "SECRET_KEYS"):
        assert part in str(stopped.value)


def test_health_says_it(keyless: Instance, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("redis.Redis.ping", lambda self: True)
    monkeypatch.setattr("portal.seals.health", seals._Health())
    answer = client.get("/healthz")
    assert answer.status_code == 503
    assert "no key here opens" in answer.json()["keys"]


def test_an_apply_that_cannot_open_a_key_fails_and_says_so(keyless: Instance) -> None:
    apply_instance(str(keyless.pk))
    operation = keyless.operations.get(kind="apply")
    assert operation.state == OperationState.FAILED
    keyless.refresh_from_db()
    assert "cannot be opened" in keyless.failure
    assert "Put that key back" in keyless.failure
