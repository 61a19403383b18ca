"""The Activity page and `GET /events`: the organization's journal, for admins and auditors."""

from __future__ import annotations

import csv
import html
import io
import json
import re
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from portal.actions.group import create_group
from portal.audit import reading
from portal.audit.export import harmless
from portal.models import JournalEntry, Membership, Organization, Principal
from tests.factories import BY, make_client_peer, make_member
from tests.fixtures import signed_in
from tests.vpn.api.caller import Caller, refused, told
from vpn.actions.instances.settings import update_instance
from vpn.models import Instance

PAGE = "/activity/"
STAFF = Principal.command("root")


def text_of(browser: Client, query: str = "") -> str:
    """The page, without markup."""
    page = browser.get(PAGE + query)
    assert page.status_code == 200
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", page.content.decode())).split())


def lines_on(browser: Client, query: str = "") -> int:
    """How many lines the page has."""
    return browser.get(PAGE + query).content.decode().count('class="journal-line"')


def test_it_says_who_did_what_with_before_and_after(
    admin_browser: Client, admin: Membership, instance: Instance
) -> None:
    update_instance(instance, mtu=1300, by=admin.principal)
    page = text_of(admin_browser)
    assert f"Settings of the instance changed {instance.name} {admin.user.email}" in page
    assert f"mtu {instance.mtu} 1300" in page


def test_tenants_do_not_see_who_of_the_staff_it_was(
    admin_browser: Client, admin: Membership, instance: Instance
) -> None:
    update_instance(instance, mtu=1300, by=STAFF)
    assert "the operator" in text_of(admin_browser)
    assert "root" not in text_of(admin_browser)
    told_actor = told(Caller.of(admin).get("/events"), 200)[0]["actor"]
    assert told_actor == {"kind": "staff", "id": "", "name": "", "reason": ""}
    assert "root" not in exported(admin_browser, "csv")


def test_another_organization_sees_nothing_of_it(stranger: Membership, instance: Instance) -> None:
    browser = signed_in(stranger.user)
    assert instance.name not in text_of(browser)
    assert lines_on(browser, f"?object={instance.pk}") == 0


@pytest.mark.parametrize(("query", "count"), [("what=group.created", 3), ("q=sales", 1), ("q=nothing-such", 0)])
def test_filters_and_search(admin_browser: Client, organization: Organization, query: str, count: int) -> None:
    for name in ("Sales", "Support", "Board"):
        create_group(organization, name=name, by=BY)
    assert lines_on(admin_browser, f"?{query}") == count


def test_by_actor_and_by_time(admin_browser: Client, organization: Organization) -> None:
    anna = make_member(organization, "admin")
    create_group(organization, name="Sales", by=anna.principal)
    assert lines_on(admin_browser, f"?actor={anna.pk}") == 1
    today = timezone.localdate()
    assert lines_on(admin_browser, f"?actor={anna.pk}&since={today}&until={today}") == 1
    assert lines_on(admin_browser, f"?actor={anna.pk}&until={today - timedelta(days=1)}") == 0
    assert lines_on(admin_browser, "?since=nonsense&before=nonsense&what=nonsense") > 0


def test_a_search_does_not_tell_which_member_of_staff_acted(admin_browser: Client, organization: Organization) -> None:
    create_group(organization, name="Sales", by=Principal.command("alice"))
    assert lines_on(admin_browser, "?q=sales") == 1
    assert lines_on(admin_browser, "?q=alice") == 0


def test_the_history_of_an_instance_has_its_peers(
    admin_browser: Client, member: Membership, instance: Instance
) -> None:
    peer = make_client_peer(instance, member)
    assert "Peer added" in text_of(admin_browser, f"?object={instance.pk}")
    assert lines_on(admin_browser, f"?object={peer.pk}") == 1


def test_pages_by_the_last_line(
    admin_browser: Client, organization: Organization, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("portal.views.activity.PAGE_SIZE", 2)
    for number in range(5):
        create_group(organization, name=f"Group {number}", by=BY)
    seen: list[str] = []
    query = "?what=group.created"
    while query:
        page = html.unescape(admin_browser.get(PAGE + query).content.decode())
        seen += re.findall(r'journal-line__object">(Group \d)', page)
        older = re.search(r'rel="next" href="(\?[^"]+)"', page)
        query = older[1] if older else ""
    assert seen == [f"Group {number}" for number in (4, 3, 2, 1, 0)]


def test_a_search_looks_at_a_part_and_goes_on(
    admin_browser: Client, organization: Organization, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "SEARCHED", 3)
    for name in ("Sales", "Support", "Board", "Garage"):
        create_group(organization, name=name, by=BY)
    page = html.unescape(admin_browser.get(f"{PAGE}?q=sales").content.decode())
    assert "No match yet" in page
    older = re.search(r'rel="next" href="(\?[^"]+)"', page)
    assert older
    assert lines_on(admin_browser, older[1]) == 1


# Export ---------------------------------------------------------------------------------------------------------------


def exported(browser: Client, form: str, **filters: str) -> str:
    """A file of the export."""
    answer = browser.post("/activity/export/", {"format": form, **filters})
    assert "attachment" in answer["Content-Disposition"]
    return b"".join(answer.streaming_content).decode()  # type: ignore[attr-defined]


def test_csv_has_the_lines_and_no_formula(admin_browser: Client, organization: Organization) -> None:
    create_group(organization, name="=1+1", by=BY)
    create_group(organization, name="Ümlaut, quoted", by=BY)
    rows = list(csv.DictReader(io.StringIO(exported(admin_browser, "csv", what="group.created"))))
    assert [row["object_name"] for row in rows] == ["Ümlaut, quoted", "'=1+1"]
    assert rows[0]["actor"] == str(BY)


@pytest.mark.parametrize("text", ["=1", "+1", "-1", "@x", "\tx", "\rx"])
def test_no_cell_begins_as_a_formula_does(text: str) -> None:
    assert harmless(text) == f"'{text}"


def test_json_lines_are_as_in_the_api(admin_browser: Client, admin: Membership, instance: Instance) -> None:
    lines = [json.loads(line) for line in exported(admin_browser, "jsonl").splitlines()]
    assert lines == told(Caller.of(admin).get("/events?limit=1000"), 200)


def test_an_export_has_a_line_itself(auditor: Membership) -> None:
    exported(signed_in(auditor.user), "csv", what="group.created")
    line = JournalEntry.objects.get(code="organization.journal_exported")
    assert (line.actor, line.details["what"]) == (auditor.principal, "group.created")


# The API --------------------------------------------------------------------------------------------------------------


def test_events_with_cursor_and_filters(admin: Membership, member: Membership, instance: Instance) -> None:
    peer, api = make_client_peer(instance, member), Caller.of(admin)
    [event] = told(api.get(f"/events?object={peer.pk}"), 200)
    assert (event["code"], event["message"], event["object"]["name"]) == ("peer.created", "Peer added", str(peer))
    assert {"field": "device", "before": None, "after": "laptop"} in event["changes"]
    everything = told(api.get("/events"), 200)
    found, path = [], "/events?limit=2"
    while path:
        answer = api.get(path)
        found += told(answer, 200)
        link = re.search(r"<[^>]*/vpn(/events[^>]+)>", answer.headers.get("Link", ""))
        path = link[1] if link else ""
    assert found == everything
    later = (timezone.now() + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert told(api.get(f"/events?since={later}"), 200) == []


def test_events_refuse_what_they_cannot_read(admin: Membership, member: Membership) -> None:
    api = Caller.of(admin)
    refused(api.get("/events?since=yesterday"), 422)
    refused(api.get("/events?cursor=nonsense"), 422)
    refused(Caller.of(member).get("/events"), 403)
