"""`manage.py journal verify`: a line for each journal, and a failure that names journal and line."""

from __future__ import annotations

import io

import pytest
from django.core.management import CommandError, call_command

from portal.audit.chain import seal_lines
from tests.factories import make_organization
from tests.portal.sealed_journal import ACME, ALL, rows

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]


def told_by_command() -> str:
    told = io.StringIO()
    try:
        call_command("journal", "verify", stdout=told)
    except CommandError as error:
        return f"{told.getvalue()}failed: {error}"
    return told.getvalue()


def test_the_command_has_a_line_for_each_journal(sealed: None) -> None:
    organization = make_organization("Weber")
    before = told_by_command()
    assert f"{organization.slug}: nothing is sealed yet.\n" in before
    seal_lines(ALL)
    lines = told_by_command().splitlines()
    assert [line.partition(":")[0] for line in lines] == ["the portal", "weber", f"deleted organization {ACME}"]
    assert "10 lines from number 1 are intact, sealed since" in lines[-1]


def test_the_command_fails_and_names_journal_and_line(sealed: None) -> None:
    make_organization("Weber")
    seal_lines(ALL)
    [line] = rows(position=4)
    rows(position=4).update(actor_name="Eve")
    told = told_by_command()
    assert f"deleted organization {ACME}: line 4 ({line.pk}, peer.changed, " in told
    assert "weber: " in told
    assert told.endswith("failed: Journals with faults: 1.")
