"""Which agent a server runs: noted from its reports, and shown to staff."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from tests.factories import observe_hubs
from vpn.jobs.observe import observe_server
from vpn.models import Instance, Server
from vpn.wire.identity import SCHEMA
from vpn.wire.report import HubReport
from vpn.wire.version import agent_version


@dataclass
class Reporting:
    """Plays a server whose hub runs what it should."""

    report: HubReport

    def observe(self, hubs: Mapping[str, str], seconds: float) -> dict[str, HubReport]:
        """What it runs."""
        return dict.fromkeys(hubs, self.report)


@pytest.fixture
def server(instance: Instance, monkeypatch: pytest.MonkeyPatch) -> Reporting:
    made = Reporting(
        HubReport(
            instance.hub, instance.epoch, instance.applied_generation, instance.applied_digest, alive=True,
            observed_at=0.0, peers={}, agent="fedcba987654", schema=SCHEMA,
        )
    )  # fmt: skip
    monkeypatch.setattr("vpn.jobs.observe.driver_for", lambda server: made)
    return made


def noted(instance: Instance) -> tuple[str, int | None]:
    observe_hubs(looked_at=None)
    observe_server(str(instance.server_id))
    return Server.objects.values_list("agent_version", "agent_schema").get(instances=instance)


def test_what_an_agent_says_of_itself_is_noted(instance: Instance, server: Reporting) -> None:
    assert noted(instance) == ("fedcba987654", SCHEMA)
    server.report = replace(server.report, agent=agent_version(), schema=SCHEMA + 1)
    assert noted(instance) == (agent_version(), SCHEMA + 1)


def test_an_older_agent_that_says_nothing_is_believed_all_the_same(instance: Instance, server: Reporting) -> None:
    server.report = replace(server.report, agent="", schema=0)
    observe_hubs(observed_at=None)
    assert noted(instance) == ("", 0)
    assert Instance.objects.get().seen.observed_at is not None


def test_what_is_known_is_not_written_again(instance: Instance, server: Reporting) -> None:
    observe_hubs(looked_at=None)
    observe_server(str(instance.server_id))
    observe_hubs(looked_at=None)
    with CaptureQueriesContext(connection) as queries:
        observe_server(str(instance.server_id))
    assert not [query for query in queries if query["sql"].startswith('UPDATE "vpn_server"')]


@pytest.mark.parametrize(
    ("version", "schema", "words"),
    [
        ("", None, "has not reported yet"),
        ("", 0, "older than this portal"),
        (agent_version(), SCHEMA, ": this portal&#x27;s version"),
        ("fedcba987654", SCHEMA, ": not this portal&#x27;s version"),
        ("fedcba987654", SCHEMA + 1, f"knows schema {SCHEMA + 1} of specs, this portal {SCHEMA}"),
    ],
)
def test_staff_see_it(staff_browser: Client, instance: Instance, version: str, schema: int | None, words: str) -> None:
    Server.objects.update(agent_version=version, agent_schema=schema)
    assert words in staff_browser.get("/admin/vpn/server/").content.decode()
