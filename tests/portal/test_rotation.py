"""Rotating the sealing keys: everything sealed is found, whatever happens meanwhile, and however often it is killed."""

from __future__ import annotations

import io
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.db.models import Field, OneToOneField, QuerySet
from pytest_django import Settings

from portal import key_file, reseal, sealing
from portal.models import Membership
from portal.reseal import count_stale, reseal_all, sealed_columns
from portal.sealing import Sealed, UnsealError, openable_prefixes
from tests.factories import make_client_peer
from vpn.actions.change import lock_instance
from vpn.choices import Protocol
from vpn.models import IdempotencyKey, Instance, Peer

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]
NEW = "a-new-key-in-front-of-the-others-" * 2


@pytest.fixture
def world(instance: Instance, admin: Membership) -> Instance:
    """An instance with devices: every kind of secret."""
    for number in range(3):
        make_client_peer(instance, admin, f"laptop{number}")
    return instance


def everything(world: Instance) -> dict[str, str]:
    """Every secret of the database, opened."""
    rows: list[Any] = []
    for model, _ in sealed_columns():
        rows += QuerySet(model)
    return {
        f"{row._meta.label} {row.pk} {name}": getattr(row, name)
        for row in rows
        for name, each in vars(type(row)).items()
        if isinstance(each, Sealed)
    }


def found_in_tables(needle: str) -> list[str]:
    """Every column of every table in which the text is."""
    found = []
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f"SELECT * FROM {connection.ops.quote_name(table)}")  # noqa: S608 - a table's name
            names = [column[0] for column in cursor.description or ()]
            for row in cursor.fetchall():
                found += [f"{table}.{name}" for name, value in zip(names, row, strict=True) if needle in str(value)]
    return found


def test_every_field_that_is_named_as_sealed_is_sealed_anew() -> None:
    """A column without its attribute, or an attribute without its column, would be left under the old key."""
    fields = {
        (model, field.name)
        for model in apps.get_models()
        for field in model._meta.get_fields()
        if isinstance(field, Field) and field.name.endswith("_sealed")
    }
    covered = {(model, column) for model, columns in sealed_columns() for column in columns}
    assert covered == fields
    assert len(fields) >= 11
    for model, column in covered:
        assert model._meta.get_field(column).get_internal_type() == "TextField"
        key = model._meta.pk
        assert key is not None
        # A row that belongs to exactly one other has that one's key.
        kind = key.target_field if isinstance(key, OneToOneField) else key
        assert kind.get_internal_type() == "UUIDField" or model is IdempotencyKey


def test_afterwards_the_old_key_opens_nothing_and_the_new_one_everything(world: Instance, settings: Settings) -> None:
    old, before = settings.SECRET_KEYS[0], everything(world)
    assert len([text for text in before.values() if text]) > 5
    settings.SECRET_KEYS = [NEW, old]
    stale = count_stale()
    assert stale > 0
    outcome = reseal_all()
    assert outcome.resealed >= stale
    assert not outcome.closed
    settings.SECRET_KEYS = [NEW]
    assert everything(world) == before
    settings.SECRET_KEYS = [old]
    assert not found_in_tables(openable_prefixes()[0])
    for row in [*Instance.objects.all(), *Peer.objects.all()]:
        for name, each in vars(type(row)).items():
            if isinstance(each, Sealed) and getattr(row, each.column):
                with pytest.raises(UnsealError):
                    getattr(row, name)


class Killed(BaseException):
    """As SIGKILL would: nothing catches it."""


def test_killed_at_any_value_it_loses_nothing_and_the_next_run_goes_on(
    world: Instance, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, seal = everything(world), sealing.seal
    settings.SECRET_KEYS = [NEW, *settings.SECRET_KEYS]
    left = count_stale()
    monkeypatch.setattr(reseal, "_BATCH", 1)
    for allowed in range(1, 40):
        calls = 0

        def dying(plain: str, allowed: int = allowed, **place: str) -> str:
            nonlocal calls
            calls += 1
            if calls > allowed:
                raise Killed
            return seal(plain, **place)

        monkeypatch.setattr(reseal, "seal", dying)
        try:
            reseal_all()
        except Killed:
            assert everything(world) == before
            assert count_stale() <= left
            left = count_stale()
        else:
            break
    monkeypatch.setattr(reseal, "seal", seal)
    reseal_all()
    assert count_stale() == 0
    assert everything(world) == before


def test_who_writes_meanwhile_is_right(world: Instance, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key that is made new between reading and writing stays."""
    settings.SECRET_KEYS = [NEW, *settings.SECRET_KEYS]
    peer, seal = Peer.objects.all()[0], sealing.seal

    def overtaken(plain: str, **place: str) -> str:
        if place["row"] == str(peer.pk) and place["field"] == "preshared_key_sealed":
            fresh = Peer(pk=peer.pk)
            fresh.preshared_key = "written meanwhile"
            Peer.objects.filter(pk=peer.pk).update(preshared_key_sealed=fresh.preshared_key_sealed)
        return seal(plain, **place)

    monkeypatch.setattr(reseal, "seal", overtaken)
    reseal_all()
    assert Peer.objects.get(pk=peer.pk).preshared_key == "written meanwhile"


def test_a_row_that_was_read_before_does_not_take_the_old_seal_back(world: Instance, settings: Settings) -> None:
    settings.SECRET_KEYS = [NEW, *settings.SECRET_KEYS]
    rows: list[Any] = [Instance.objects.get(pk=world.pk), *Peer.objects.all()]
    reseal_all()
    for row in rows:
        row.save()
    assert count_stale() == 0


def test_a_value_that_no_key_opens_is_told_and_does_not_stop_the_others(world: Instance, settings: Settings) -> None:
    peer = Peer.objects.all()[0]
    Peer.objects.filter(pk=peer.pk).update(private_key_sealed="1:00000000:AAAA")
    settings.SECRET_KEYS = [NEW, *settings.SECRET_KEYS]
    with pytest.raises(CommandError, match=r"vpn_peer\.private_key_sealed"):
        call_command("rotate_secrets", stdout=io.StringIO())
    assert count_stale() == 1


# The file of keys -----------------------------------------------------------------------------------------------------


@pytest.fixture
def file(tmp_path: Path, settings: Settings) -> Path:
    """A file with the key of the tests, as `make up` keeps it."""
    path = tmp_path / "secret_keys"
    path.write_text(settings.SECRET_KEYS[0] + "\n")
    path.chmod(0o640)
    settings.SECRET_KEYS_FILE = path
    return path


def test_one_command_does_it_all(world: Instance, file: Path, settings: Settings) -> None:
    old, before, told = file.read_text().strip(), everything(world), io.StringIO()
    call_command("rotate_secrets", "--new-key", "--forget-old-keys", "--wait", "0", stdout=told)
    keys = file.read_text().split()
    assert len(keys) == 1
    assert keys[0] != old
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    assert everything(world) == before
    assert old not in told.getvalue()
    assert keys[0] not in told.getvalue()


def test_a_running_process_takes_a_new_key_at_once(file: Path) -> None:
    old = key_file.secret_keys()
    key_file.add_key()
    assert key_file.secret_keys() == [key_file.secret_keys()[0], *old]
    file.write_text("")
    assert len(key_file.secret_keys()) == 2, "an empty file is not believed"


def test_keys_are_not_forgotten_while_something_is_sealed_under_them(
    world: Instance, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("portal.management.commands.rotate_secrets.reseal_all", reseal.Outcome)
    with pytest.raises(CommandError, match="under an older key again"):
        call_command("rotate_secrets", "--new-key", "--forget-old-keys", "--wait", "0", stdout=io.StringIO())
    assert len(file.read_text().split()) == 2


def test_keys_of_the_environment_are_changed_there(world: Instance, settings: Settings) -> None:
    settings.SECRET_KEYS_FILE = None
    with pytest.raises(CommandError, match="SECRET_KEYS"):
        call_command("rotate_secrets", "--new-key", stdout=io.StringIO())


def test_the_hubs_spec_is_the_same_afterwards(world: Instance, settings: Settings) -> None:
    """No hub is applied anew, and no profile is outdated, for a rotation."""
    from vpn.desired import compile_spec

    before = compile_spec(world.pk)
    generation = Instance.objects.get(pk=world.pk).desired_generation
    settings.SECRET_KEYS = [NEW, *settings.SECRET_KEYS]
    reseal_all()
    fresh = Instance.objects.get(pk=world.pk)
    assert compile_spec(fresh.pk) == before
    assert fresh.desired_generation == generation


def test_openvpn_secrets_are_among_them(world: Instance, admin: Membership) -> None:
    peer = make_client_peer(world, admin, "phone")
    Peer.objects.filter(pk=peer.pk).update(protocol=Protocol.OPENVPN)
    assert {"private_key_sealed", "tls_crypt_key_sealed"} <= {
        column for model, columns in sealed_columns() if model is Peer for column in columns
    }


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_it_waits_for_nobody_who_changes_an_instance(
    world: Instance, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who holds an instance may want one of its peers next: each would wait for the other."""
    columns = dict(sealed_columns())[Peer]
    monkeypatch.setattr(reseal, "sealed_columns", lambda: [(Peer, columns)])
    settings.SECRET_KEYS = [NEW, *settings.SECRET_KEYS]

    def run() -> int:
        try:
            return reseal_all().resealed
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as pool, transaction.atomic():
        lock_instance(world.pk)
        assert pool.submit(run).result(60) > world.peers.count(), "more than one value of each"
    assert count_stale() == 0
