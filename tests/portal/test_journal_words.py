"""Each act of an action has words in the journal, and each command of `manage.py` leaves its line."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from django.core.management import call_command, get_commands

from portal.actions.acting import UnknownAct, acted, one_act
from portal.audit.field_words import NAMES
from portal.audit.fields import FIELDS
from portal.audit.words import KINDS, PARTS, WORDS
from portal.models import Membership, Organization
from portal.models.journal import PORTAL_JOURNAL
from tests.factories import BY, PASSWORD
from tests.portal.journal_lines import only
from tests.test_actions_say_who import modules
from vpn.models import Region

pytestmark = pytest.mark.django_db


# Every act has words --------------------------------------------------------------------------------------------------


def acts_of(module: Any) -> Iterator[str]:
    """What the calls of the hook in a module say was done; `*` for what is known at run time."""
    for node in ast.walk(ast.parse(Path(module.__file__).read_text())):
        if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in {"acted", "one_act"}:
            parts = node.args[1].values if isinstance(node.args[1], ast.JoinedStr) else [node.args[1]]
            if isinstance(node.args[1], ast.IfExp):
                parts = [node.args[1].body, node.args[1].orelse]
                yield from (str(part.value) for part in parts if isinstance(part, ast.Constant))
                continue
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else "*" for part in parts)


def test_each_act_of_an_action_has_words_or_is_a_part() -> None:
    known = {code.partition(".")[2] for code in {*WORDS, *PARTS}}
    found = [(module.__name__, did) for module in modules() for did in acts_of(module)]
    assert len(found) > 80, "the acts are found in the sources"
    for name, did in found:
        wanted = re.compile(re.escape(did.replace(" ", "_")).replace(r"\*", ".+"))
        assert any(wanted.fullmatch(one) for one in known), (name, did)


def test_no_code_is_both_a_line_and_a_part_and_each_kind_has_a_word() -> None:
    assert WORDS.keys().isdisjoint(PARTS)
    assert {code.partition(".")[0] for code in WORDS} <= KINDS.keys()


def test_an_act_without_words_is_refused(organization: Organization) -> None:
    with pytest.raises(UnknownAct, match=r"organization\.painted"):
        acted(BY, "painted", organization)
    with pytest.raises(UnknownAct), one_act(BY, "painted", organization):
        pass


# Commands -------------------------------------------------------------------------------------------------------------

# What each command of `manage.py` leaves, with the arguments that it gets here; or why it leaves nothing.
COMMANDS: dict[str, list[tuple[str, list[str]]] | str] = {
    "api_token": [("apitoken.created", ["{email}"])],
    "api_tokens": [("apitoken.deleted", ["revoke", "{token}"])],
    "changepassword": [("user.password_changed", ["{email}"])],
    "createsuperuser": [("user.became_staff", ["--email", "root@example.org", "--no-input"])],
    "journal": "reads only",
    "prepare": "makes the first organization: tests/running",
    "reset_second_factor": "needs a factor: tests/portal/test_factor_journal.py",
    "rotate_secrets": "seals the same values again; the audit log has it",
    "region": [
        ("region.added", ["add", "north", "North"]),
        ("region.changed", ["set", "local", "--latitude", "50.1", "--longitude", "8.7"]),
        ("region.loss_policy_set", ["set", "local", "--lost-after", "900"]),
    ],
    "server": [
        ("server.cordoned", ["cordon", "This machine"]),
        ("server.uncordoned", ["uncordon", "This machine"]),
        ("server.cordoned", ["drain", "This machine"]),
    ],
    "schedule": "runs the schedule",
    "worker": "runs a worker",
}
CALLS = [(name, *call) for name, calls in COMMANDS.items() if not isinstance(calls, str) for call in calls]


def test_each_command_says_what_the_journal_gets() -> None:
    assert set(COMMANDS) == {name for name, app in get_commands().items() if app in {"portal", "vpn"}}


@pytest.mark.parametrize(("name", "code", "words"), CALLS)
def test_a_command_leaves_one_line_by_staff(
    name: str, code: str, words: list[str], admin: Membership, region: Region, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DJANGO_SUPERUSER_PASSWORD", PASSWORD)
    token, _ = admin.api_tokens.model.issue(admin)
    filled = [word.format(email=admin.user.email, token=token.pk) for word in words]
    with patch("getpass.getpass", return_value=PASSWORD), patch("vpn.doorbell._enqueue"):
        line = only(lambda: call_command(name, *filled, stdout=StringIO(), stderr=StringIO()))
    assert (line.code, line.actor_kind) == (code, "staff")
    assert line.actor_name
    assert line.organization_id in {admin.organization_id, PORTAL_JOURNAL}


def test_each_field_has_words_on_the_page() -> None:
    fields = {path.rpartition(".")[2].replace("_", " ") for paths in FIELDS.values() for path in paths}
    assert fields <= NAMES
