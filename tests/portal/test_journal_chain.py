"""The hash chain of a journal: what was done to sealed lines is found, whoever did it with the database alone."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from django.db import connection
from django.db.models import F
from django.utils import timezone
from pytest_django import Settings

from portal.audit import chain
from portal.audit.chain import CONTENT, hash_of, seal_batch, seal_lines, signature_of
from portal.audit.verifying import MOST_FAULTS, SEALED_WITHIN, verify
from portal.models import JournalEntry, JournalHead, Organization
from portal.models.journal import PORTAL_JOURNAL, journal_id
from portal.reseal import count_stale, reseal_all
from tests.portal.sealed_journal import ACME, ALL, append, faults, heads, rows
from vpn.jobs.journal import seal_journals

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]

# Sealing --------------------------------------------------------------------------------------------------------------


def test_lines_get_positions_and_hashes_in_batches(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chain, "_BATCH", 3)
    append(10)
    append(4, organization_id=PORTAL_JOURNAL)
    assert seal_lines(ALL)
    assert list(rows().order_by("id").values_list("position", flat=True)) == list(range(1, 11))
    for journal, number in ((ACME, 10), (PORTAL_JOURNAL, 4)):
        verdict = verify(journal)
        assert (verdict.lines, verdict.faults) == (number, [])


def test_out_of_time_leaves_the_rest_to_the_next_run(db: None) -> None:
    append(3)
    assert not seal_lines(0)
    assert seal_lines(ALL)
    assert faults() == []


def test_a_line_that_commits_late_gets_the_next_position(sealed: None) -> None:
    [late] = append(1, at=timezone.now() - timedelta(minutes=2), code="peer.deleted")
    append(1)
    seal_lines(ALL)
    assert rows(pk=late.pk).values_list("position", flat=True).get() == 11
    assert faults() == []


def test_every_column_of_a_line_is_in_its_hash() -> None:
    assert {field.attname for field in JournalEntry._meta.concrete_fields} == {*CONTENT, "position", "hash"}
    line: dict[str, Any] = {
        **dict.fromkeys(CONTENT),
        "id": UUID(int=1),
        "at": datetime(2026, 3, 1, tzinfo=UTC),
        "code": "peer.changed",
        "document": '{"details": {"name": "Zoë"}}',
    }
    told = hash_of("a key", "the hash before", 5, line)
    # Of a line that was sealed by an earlier release: it must never change.
    assert told == "30d3ecf7d7bbaa1fafb69ce6e035f5d5e7f48f75432f2a984e62ae67c7f57ab1"
    for name in CONTENT:
        assert hash_of("a key", "the hash before", 5, {**line, name: "another"}) != told


def test_it_is_killed_at_any_line_and_the_next_run_goes_on(sealed: None, monkeypatch: pytest.MonkeyPatch) -> None:
    class Killed(BaseException):
        pass

    def die(*_: object, **__: object) -> None:
        raise Killed

    append(3)
    for place in ("portal.audit.chain.hash_of", "portal.audit.chain.save_ends", "portal.models.JournalHead.save"):
        with monkeypatch.context() as killed:
            killed.setattr(place, die)
            with pytest.raises(Killed):
                seal_lines(ALL)
        assert rows(position=None).count() == 3
        assert faults() == []
    seal_lines(ALL)
    assert verify(ACME).lines == 13


@pytest.mark.django_db(transaction=True)
def test_two_at_once_seal_each_line_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chain, "_BATCH", 7)
    append(60)

    def run() -> None:
        try:
            while seal_batch(ACME):
                pass
        finally:
            connection.close()

    with ThreadPoolExecutor(3) as pool:
        for running in [pool.submit(run) for _ in range(3)]:
            running.result(ALL)
    verdict = verify(ACME)
    assert (verdict.lines, verdict.faults) == (60, [])


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_a_chain_that_another_process_begins_meanwhile_is_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """It begins the chain after this process found no head, and before it looks for sealed lines."""
    append(3)
    found = JournalEntry.objects.filter

    def seal_elsewhere() -> None:
        try:
            seal_batch(ACME)
        finally:
            connection.close()

    def late(*arguments: Any, **values: Any) -> Any:
        monkeypatch.undo()
        with ThreadPoolExecutor(1) as pool:
            pool.submit(seal_elsewhere).result(ALL)
        return found(*arguments, **values)

    monkeypatch.setattr(JournalEntry.objects, "filter", late)
    assert seal_batch(ACME) == 0
    verdict = verify(ACME)
    assert (verdict.lines, verdict.faults) == (3, [])


def test_the_schedule_seals_what_acts_leave(organization: Organization) -> None:
    seal_journals()
    verdict = verify(organization.pk)
    assert verdict.lines >= 1
    assert verdict.faults == []


# What is found --------------------------------------------------------------------------------------------------------


def exchange(one: int, other: int) -> None:
    """Let two lines change places, with their hashes."""
    for before, after in ((one, 99), (other, one), (99, other)):
        rows(position=before).update(position=after)


@pytest.mark.parametrize(
    ("deed", "told"),
    [
        (lambda: rows(position=4).update(actor_name="Eve"), ["line 4 "]),
        (lambda: rows(position=4).update(at=timezone.now() - timedelta(days=1)), ["line 4 "]),
        (lambda: rows(position=4).update(document='{"changes": {}}'), ["line 4 "]),
        (lambda: rows(position=4).update(id=journal_id()), ["line 4 "]),
        (lambda: rows(position=4).update(hash="0" * 64), ["line 4 ", "line 5 "]),
        (lambda: rows(position=4).update(position=None, hash=None), ["line 4 was removed"]),
        (lambda: rows(position=1).delete(), ["line 1 was removed"]),
        (lambda: rows(position=4).delete(), ["line 4 was removed"]),
        (lambda: rows(position__in=[4, 5]).delete(), ["lines 4 to 5 were removed"]),
        (lambda: rows(position__gte=9).delete(), ["lines 9 to 10 were removed"]),
        (lambda: rows().delete(), ["lines 1 to 10 were removed"]),
        (lambda: exchange(4, 7), ["line 4 ", "line 5 ", "line 7 ", "line 8 "]),
        (lambda: append(1, position=11, hash="0" * 64), ["line 11 was inserted"]),
        (lambda: append(1, position=0, hash="0" * 64), ["a line was inserted before line 1"]),
        (
            lambda: rows(position__gte=9).update(position=F("position") + 20),
            ["line 30 was inserted", "lines 9 to 10 were removed"],
        ),
        (lambda: heads().delete(), ["the head of its chain was removed"]),
    ],
)
def test_what_was_done_to_sealed_lines_is_found(sealed: None, deed: Callable[[], object], told: list[str]) -> None:
    deed()
    found = faults()
    assert len(found) == len(told), found
    assert all(fault.startswith(begin) for fault, begin in zip(found, told, strict=True)), found
    # The next lines do not cover it.
    append(2)
    seal_lines(ALL)
    assert faults()[0].startswith(told[0])


def test_whoever_has_the_database_alone_cannot_move_an_end_of_the_chain(sealed: None) -> None:
    eighth = rows(position=8).values_list("hash", flat=True).get()
    third = rows(position=3).values_list("hash", flat=True).get()
    genuine = heads().values().get()
    for forged in (
        {"position": 8, "hash": eighth},
        {"anchor_position": 3, "anchor_hash": third},
        {"begun_at": timezone.now()},
    ):
        heads().update(**{**genuine, **forged})
        assert faults() == ["the head of its chain was altered"]
        append(1)
        assert seal_lines(ALL)
        assert faults() == ["the head of its chain was altered"], "it got no new signature"
    heads().update(**genuine)
    seal_lines(ALL)
    assert faults() == []


def test_a_hash_with_another_key_is_no_hash(sealed: None) -> None:
    """A key that somebody made is not sealed by the portal, and one of another journal opens in its own row alone."""
    append(1, organization_id=PORTAL_JOURNAL, code="region.added")
    seal_lines(ALL)
    of_portal = JournalHead.objects.get(pk=PORTAL_JOURNAL)
    heads().update(key_sealed=of_portal.key_sealed)
    assert faults() == ["no key here opens the key of its chain"]
    seal_lines(ALL)
    assert verify(PORTAL_JOURNAL).faults == []


def test_to_an_older_head_nothing_is_added(sealed: None) -> None:
    older = heads().values("position", "hash", "anchor_position", "anchor_hash", "signature").get(pk=ACME)
    append(3)
    seal_lines(ALL)
    heads().filter(pk=ACME).update(**older)
    append(4)
    assert seal_lines(ALL)
    assert rows(position=None).count() == 4
    assert faults()


def test_a_line_that_is_dated_back_is_found_though_it_gets_sealed(sealed: None) -> None:
    append(1, at=timezone.now() - timedelta(hours=3), code="peer.deleted")
    append(1)
    seal_lines(ALL)
    [fault] = faults()
    assert fault.startswith("line 11 (")
    assert "inserted later" in fault


def test_not_all_of_many_faults_are_told(db: None) -> None:
    append(MOST_FAULTS + 5)
    seal_lines(ALL)
    rows().update(actor_name="Eve")
    assert len(faults()) == MOST_FAULTS


def test_lines_that_nobody_seals_are_said(sealed: None) -> None:
    append(1)
    assert faults() == []
    append(2, at=timezone.now() - SEALED_WITHIN * 1.1, code="peer.deleted")
    assert faults() == ["2 lines are not sealed after 10 minutes: does the schedule run?"]


# The keys -------------------------------------------------------------------------------------------------------------


def test_it_verifies_after_the_keys_were_rotated(sealed: None, settings: Settings) -> None:
    old = settings.SECRET_KEYS[0]
    hashes = list(rows().order_by("position").values_list("hash", flat=True))
    settings.SECRET_KEYS = ["a-new-key-in-front-of-the-others-" * 2, old]
    reseal_all()
    assert count_stale() == 0
    settings.SECRET_KEYS = settings.SECRET_KEYS[:1]
    append(2)
    seal_lines(ALL)
    verdict = verify(ACME)
    assert (verdict.lines, verdict.faults) == (12, [])
    assert list(rows(position__lte=10).order_by("position").values_list("hash", flat=True)) == hashes
    head = heads().get()
    assert head.signature == signature_of(head)
    settings.SECRET_KEYS = [old]
    assert faults() == ["no key here opens the key of its chain"]
