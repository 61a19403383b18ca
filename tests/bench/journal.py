"""`python -m tests.bench.journal [LINES]`: the page "Activity" and `GET /events` with 10 million lines, on PostgreSQL.

A tenth of the lines belongs to other organizations. Prints how long each page takes in a process of its own, without
a web server, and how many queries it makes.
"""

from __future__ import annotations

import sys
import time
from datetime import timedelta
from statistics import median, quantiles
from typing import Any, Final

from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext, setup_test_environment
from django.utils import timezone

from tests.bench import scale
from tests.bench.figures import milliseconds, say, say_where

LINES: Final = 10_000_000
_OBJECTS: Final = 50_000
_ACTORS: Final = 200
_DAYS: Final = 365
_REPEATED: Final = 21
_TWENTIETHS: Final = 20
# Frequent acts and rare ones, of people and of the portal itself. Ids are UUIDs of version 7 (RFC 9562).
_FILL: Final = """
INSERT INTO portal_journalentry (id, organization_id, at, actor_kind, actor_id, actor_name, actor_reason, address,
    user_agent, code, object_kind, object_id, object_name, document, position, hash)
SELECT (substr(stamp, 1, 8) || '-' || substr(stamp, 9, 4) || '-7' || lpad(to_hex(n %% 4096), 3, '0') || '-8'
        || substr(md5(n::text), 1, 3) || '-' || substr(md5(n::text), 4, 12))::uuid,
    CASE WHEN n %% 10 = 0 THEN md5((n %% 970)::text)::uuid ELSE %(organization)s END,
    at, 'member', md5('actor' || n %% %(actors)s), 'Person ' || n %% %(actors)s, '', '192.0.2.' || n %% 250,
    'Mozilla/5.0 (X11; Linux x86_64)', CASE WHEN n %% 99991 = 0 THEN 'rules changed' ELSE 'peer changed' END,
    'peer', md5('object' || n %% %(objects)s), 'laptop ' || n %% %(objects)s,
    '{"changes": {"name": ["laptop", "laptop of the office"]}}', n, md5(n::text) || md5(n::text)
FROM (
    SELECT n, at, lpad(to_hex(floor(extract(epoch from at) * 1000)::bigint), 12, '0') AS stamp
    FROM generate_series(%(first)s, %(last)s) AS n,
        LATERAL (SELECT %(since)s + n * %(step)s::interval AS at) AS times
) AS lines
"""


def main(lines: int) -> None:
    """Fill the database of this process, then ask for pages."""
    from portal.garbage import freeze_loaded
    from portal.models import ApiToken
    from tests.factories import make_member, make_organization
    from tests.fixtures import signed_in

    call_command("migrate", verbosity=0)
    call_command("collectstatic", verbosity=0, interactive=False)
    setup_test_environment()
    freeze_loaded()  # as the portal's processes do
    admin = make_member(make_organization(), role="admin")
    _fill(str(admin.organization_id), lines)
    browser, (_, token) = signed_in(admin.user), ApiToken.issue(admin, name="bench")
    day = f"{timezone.now() - timedelta(days=_DAYS // 2):%Y-%m-%d}"
    actor, thing = _ids()
    for name, query in {
        "newest lines": "",
        "a day half a year ago": f"since={day}&until={day}",
        "of one person": f"actor={actor}",
        "of one device": f"object={thing}",
        "a rare act": "what=rules+changed",
        "a rare act of one person": f"what=rules+changed&actor={actor}",
        "words that the newest lines have": "q=laptop",
        "words that no line has": "q=nowhere",
    }.items():
        _report(f"page: {name}", browser, f"/activity/?{query}", {})
    _report("GET /events?limit=1000", Client(), "/api/v1/vpn/events?limit=1000", {"Authorization": f"Bearer {token}"})


def _fill(organization: str, lines: int) -> None:
    began, batch = time.perf_counter(), 500_000
    since = timezone.now() - timedelta(days=_DAYS)
    values: dict[str, Any] = {"organization": organization, "actors": _ACTORS, "objects": _OBJECTS, "since": since}
    with connection.cursor() as cursor:
        for first in range(1, lines + 1, batch):
            part: dict[str, Any] = {
                "first": first,
                "last": min(lines, first + batch - 1),
                "step": timedelta(days=_DAYS) / lines,
            }
            cursor.execute(_FILL, values | part)
        cursor.execute("VACUUM ANALYZE portal_journalentry")
        cursor.execute("SELECT pg_total_relation_size('portal_journalentry')")
        ((size,),) = cursor.fetchall()
    say(f"{lines:,} lines", f"{size / lines:.0f} bytes a line")
    say("written in", f"{time.perf_counter() - began:.0f} s")


def _ids() -> tuple[str, str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT md5('actor7'), md5('object77')")
        ((actor, thing),) = cursor.fetchall()
    return actor, thing


def _report(name: str, browser: Client, path: str, headers: dict[str, str]) -> None:
    with CaptureQueriesContext(connection) as captured:
        answer = browser.get(path, headers=headers)
        queries = len(captured)
    assert answer.status_code == 200, f"{name}: {answer.status_code}"
    seconds = []
    for _ in range(_REPEATED):
        began = time.perf_counter()
        browser.get(path, headers=headers)
        seconds.append(time.perf_counter() - began)
    slow = quantiles(seconds, n=_TWENTIETHS)[-1]
    say(f"{name}, {queries} queries", f"{milliseconds(median(seconds))}, {milliseconds(slow)}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["here"]:
        main(int(sys.argv[2]))
    else:
        say_where()
        scale.main(["postgresql"], ("tests.bench.journal", "here", sys.argv[1] if sys.argv[1:] else str(LINES)))
