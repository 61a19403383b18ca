"""Every page and every API call, as every role.

tests/access_tables.py says what each role may do, and tests/journal_tables.py what the journal gets.
"""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.conf import LazySettings
from django.db import transaction
from django.test import Client
from django.urls import URLPattern, get_resolver, reverse

from portal.models import ApiToken
from portal.models.journal import journal_id
from tests import access_tables as tables
from tests.access_world import (
    BASE,
    World,
    api_calls,
    body_of,
    form_of,
    page_names,
    patterns,
    the_world,  # noqa: F401 - a fixture
    url_of,
    url_of_call,
)
from tests.fixtures import signed_in
from tests.journal_tables import ACTS_OF_CALLS, ACTS_OF_PAGES, Answer, lines_since
from tests.revising import unrecorded
from vpn.models import Instance, Peer

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]

ACTING = ("member", "operator", "auditor", "admin", "stranger", "staff")
PAGES = tables.rows(tables.PAGES)
PAGES_OF_ANOTHERS_PEER = tables.rows(tables.PAGES_OF_ANOTHERS_PEER)
CALLS = tables.rows(tables.CALLS)
CALLS_ABOUT_ANOTHERS_PEER = tables.rows(tables.CALLS_ABOUT_ANOTHERS_PEER)


@pytest.fixture(autouse=True)
def _no_redis(settings: LazySettings) -> None:
    """Without Redis, so that /healthz answers the same wherever the tests run."""
    settings.REDIS_URL = "unix:///nonexistent/redis.sock"


# Nothing without a row ------------------------------------------------------------------------------------------------


def test_every_page_has_a_row_for_get_and_post() -> None:
    documents = {"api:openapi-json", "api:openapi-view"}
    expected = {("GET", name) for name in page_names()} | {("POST", name) for name in page_names() - documents}
    assert set(PAGES) == expected


def test_every_api_call_has_a_row() -> None:
    assert set(CALLS) == api_calls()


def test_every_page_and_call_that_may_act_says_what_the_journal_gets() -> None:
    """A new one without a row fails here: it names the code of its line, or why it leaves none."""
    assert set(ACTS_OF_PAGES) == {(method, name) for method, name in PAGES if method == "POST" and _may_act(name)}
    assert set(ACTS_OF_CALLS) == {(method, path) for method, path in CALLS if method != "GET"}


def _may_act(name: str) -> bool:
    """Does the page take POST at all?"""
    return PAGES["POST", name]["admin"] != 405


def test_everything_about_one_peer_has_a_row_for_another_members_peer() -> None:
    about_peers = {key for key in CALLS if "{peer_id}" in key[1]}
    assert set(CALLS_ABOUT_ANOTHERS_PEER) == about_peers
    pages = {key for key in PAGES if re.fullmatch(r"peer(_\w+)?", key[1])} - {("POST", "peer")}
    assert set(PAGES_OF_ANOTHERS_PEER) == pages


# The pages ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("method", "name"), PAGES)
def test_page(world: World, method: str, name: str) -> None:
    _check(
        _answers_of_page(world, method, name, world.peer), PAGES[method, name], ACTS_OF_PAGES.get((method, name), "")
    )


@pytest.mark.parametrize(("method", "name"), PAGES_OF_ANOTHERS_PEER)
def test_page_of_another_members_peer(world: World, method: str, name: str) -> None:
    answers = _answers_of_page(world, method, name, world.anothers_peer)
    _check(answers, PAGES_OF_ANOTHERS_PEER[method, name], ACTS_OF_PAGES.get((method, name), ""))


def _check(answers: dict[str, Answer], expected: dict[str, int], code: str) -> None:
    """Each role gets the expected status; who may act leaves one line in the journal in their name, others none."""
    assert {role: answer.status for role, answer in answers.items()} == expected
    acts = [role for role in ACTING if expected[role] == expected["admin"] < 400 and not code.startswith("-")]
    lines = {role: [(code, answers[role].actor)] if code and role in acts else [] for role in expected}
    assert {role: answer.lines for role, answer in answers.items()} == lines


def _answers_of_page(world: World, method: str, name: str, peer: Peer) -> dict[str, Answer]:
    url = url_of(world, name, peer)
    data = form_of(world, name) if method == "POST" else None
    return {role: _ask_as(world, role, method, url, data) for role in tables.ROLES}


def _ask_as(world: World, role: str, method: str, url: str, data: dict[str, Any] | None) -> Answer:
    """One request in a transaction of its own, undone afterwards."""
    with transaction.atomic():
        browser = signed_in(world.users[role]) if role in world.users else Client()
        actor = str(world.members[role].pk if role in world.members else world.users["staff"].pk)
        since = journal_id()
        response = browser.post(url, data or {}) if method == "POST" else browser.get(url)
        _check_revisions(world, role, method)
        answer = Answer(response.status_code, lines_since(since), actor)
        transaction.set_rollback(True)
    return answer


def _check_revisions(world: World, role: str, method: str) -> None:
    """Whatever an admin did to settings, rules, records and routes is a revision: a new action without one fails."""
    if role == "admin" and method != "GET":
        assert unrecorded(Instance.objects.filter(organization=world.organization)) == []


# The API --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("method", "path"), CALLS)
def test_call(world: World, method: str, path: str) -> None:
    answers = _answers_of_call(world, method, path, world.peer)
    _check(answers, CALLS[method, path], ACTS_OF_CALLS.get((method, path), ""))


@pytest.mark.parametrize(("method", "path"), CALLS_ABOUT_ANOTHERS_PEER)
def test_call_about_another_members_peer(world: World, method: str, path: str) -> None:
    answers = _answers_of_call(world, method, path, world.anothers_peer)
    _check(answers, CALLS_ABOUT_ANOTHERS_PEER[method, path], ACTS_OF_CALLS.get((method, path), ""))


def _answers_of_call(world: World, method: str, path: str, peer: Peer) -> dict[str, Answer]:
    url = url_of_call(world, path, peer)
    return {role: _call_as(world, role, method, url, body_of(world, method, path)) for role in tables.ROLES}


def _call_as(world: World, role: str, method: str, url: str, body: dict[str, Any]) -> Answer:
    with transaction.atomic():
        program = signed_in(world.users[role]) if role == "staff" else Client()
        headers, actor = {}, ""
        if role in world.members:
            made, token = ApiToken.issue(world.members[role])
            headers["Authorization"], actor = f"Bearer {token}", str(made.pk)
        since = journal_id()
        response = getattr(program, method.lower())(
            url, body if method in {"POST", "PUT"} else None, content_type="application/json", headers=headers
        )
        _check_revisions(world, role, method)
        answer = Answer(response.status_code, lines_since(since), actor)
        transaction.set_rollback(True)
    return answer


# Django admin ---------------------------------------------------------------------------------------------------------


def test_django_admin_is_for_staff_alone(world: World) -> None:
    """Every page of Django admin: other roles get no page of it, whatever the address."""
    for name, entry in patterns(get_resolver()):
        if not name.startswith("admin:") or name in {"admin:login", "admin:logout"}:
            continue
        url = _admin_url(name, entry)
        for role in ("anonymous", "member", "admin", "stranger"):
            for method in ("GET", "POST"):
                status = _ask_as(world, role, method, url, None).status
                assert status in {302, 403, 404, 405}, (name, method, role, status)


def test_staff_reach_the_lists_of_django_admin(world: World) -> None:
    names = [name for name, _ in patterns(get_resolver()) if name.endswith("_changelist") and "_rq_" not in name]
    assert len(names) > 5
    for name in names:
        assert _ask_as(world, "staff", "GET", reverse(name), None).status == 200, name


def _admin_url(name: str, entry: URLPattern) -> str:
    """Any address that the pattern matches."""
    route = str(entry.pattern)
    prefix = "/admin/"
    for match in re.finditer(r"^admin:(portal|vpn)_([a-z]+)_", name):
        prefix = f"/admin/{match[1]}/{match[2]}/"
    filled = re.sub(r"<(\w+):\w+>", lambda found: "1" if found[1] in {"int", "str"} else "x", route)
    return prefix + re.sub(r"[\^$?]|\(.*\)", "", filled)


def test_a_cookie_is_not_a_token(world: World) -> None:
    with transaction.atomic():
        assert signed_in(world.users["admin"]).get(f"{BASE}/instances").status_code == 401
        transaction.set_rollback(True)
