"""Many people are invited at once: lines, a preview of each, and one click."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.utils import timezone

from portal.actions.group import create_group
from portal.actions.sign_in_link import can_have_link, find_link, one_time_link
from portal.exceptions import InvalidInput
from portal.models import Group, JournalEntry, Membership, MembershipState, Organization, QueuedMail, Role
from tests.factories import BY, make_member, make_organization
from vpn.actions.people.invitation_lines import MOST_LINES, Defaults, Line, Outcome, read_lines
from vpn.models import Instance, Peer

pytestmark = pytest.mark.django_db
URL = "/people/invite/"


@pytest.fixture
def sales(organization: Organization) -> Group:
    return create_group(organization, name="Sales", by=BY)


def form_of(lines: str, **more: Any) -> dict[str, Any]:
    return {"lines": lines, "role": "member", **more}


def previewed(browser: Client, form: dict[str, Any]) -> dict[str, Any]:
    """What the browser sends after the preview."""
    shown = browser.post(URL, form).context["form"]
    file_gone = {name: value for name, value in form.items() if name != "file"}
    return {**file_gone, "lines": shown.data["lines"], "previewed": shown.data["previewed"], "invite": "true"}


def read(organization: Organization, text: str, **defaults: Any) -> list[Line]:
    return read_lines(organization, text, Defaults(**defaults))


# What a line says -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("between", [",", ";", "\t"])
def test_a_line_has_address_name_role_groups_and_expiry(organization: Organization, sales: Group, between: str) -> None:
    day = timezone.localdate() + timedelta(days=30)
    text = (
        between.join(["email", "name"])
        + "\n"
        + between.join(["Anna@Example.org", "Anna", "auditor", "sales", str(day)])
    )
    [line] = read(organization, text)
    assert (line.email, line.name, line.role, line.groups) == ("anna@example.org", "Anna", "auditor", (sales.pk,))
    assert (line.ends_on, line.outcome, line.number) == (day, Outcome.INVITED, 2)


def test_a_line_with_an_address_alone_has_the_defaults(organization: Organization, sales: Group) -> None:
    [line] = read(organization, "anna@example.org", role="auditor", groups=(sales.pk,))
    assert (line.role, line.groups, line.group_names) == ("auditor", (sales.pk,), ("Sales",))


def test_a_name_may_be_quoted(organization: Organization) -> None:
    [line] = read(organization, 'anna@example.org,"Weber, Anna"')
    assert line.name == "Weber, Anna"


def test_a_name_may_hold_another_lines_delimiter(organization: Organization) -> None:
    _, line = read(organization, "bob@example.org\nanna@example.org,Anna; the first")
    assert (line.email, line.name) == ("anna@example.org", "Anna; the first")


def test_a_quotation_that_does_not_end_takes_no_other_line(organization: Organization) -> None:
    with pytest.raises(InvalidInput) as refused:
        read(organization, 'anna@example.org,"Anna\nbob@example.org\n')
    assert "a quotation mark is not closed" in refused.value.errors["lines"][0]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("nobody", "Enter an email address"),
        (",Anna", "Enter an email address"),
        ("a@example.org,Anna,king", "The role is one of"),
        ("a@example.org,Anna,operator", "one by one"),
        ("a@example.org,Anna,member,Nobodies", "no group called Nobodies"),
        ("a@example.org,Anna,member,,soon", "as a date"),
        ("a@example.org,Anna,member,,2001-01-01", "from today"),
        ("a@example.org,Anna,member,,,x", "at most 5 values"),
        ("a@example.org," + "x" * 61, "at most 60 characters"),
    ],
)
def test_an_invalid_line_says_why(organization: Organization, line: str, reason: str) -> None:
    [found, other] = read(organization, f"{line}\nb@example.org")
    assert found.outcome == Outcome.INVALID
    assert reason in found.reason
    assert other.outcome == Outcome.INVITED


def test_who_is_here_or_named_twice_is_not_invited(organization: Organization) -> None:
    make_member(organization, email="anna@example.org")
    make_member(make_organization("Other"), email="bob@example.org")
    lines = read(organization, "ANNA@example.org\nbob@example.org\nBob@example.org")
    assert [line.outcome for line in lines] == [Outcome.PRESENT, Outcome.INVITED, Outcome.INVALID]
    assert lines[2].reason == "Line 2 has this address already."


def test_what_is_over_the_quota_is_said(organization: Organization) -> None:
    organization.most_members = organization.memberships.count() + 1
    organization.save()
    lines = read(organization, "a@example.org\nb@example.org")
    assert [line.outcome for line in lines] == [Outcome.INVITED, Outcome.OVER_QUOTA]
    assert "Quota reached" in lines[1].reason


# The pages ------------------------------------------------------------------------------------------------------------


def test_a_preview_invites_nobody(admin_browser: Client, organization: Organization) -> None:
    before = organization.memberships.count()
    page = admin_browser.post(URL, form_of("anna@example.org\nnobody")).content.decode()
    assert "1 of 2 lines will be invited." in page
    assert "Invite 1 person" in page
    assert "Enter an email address" in page
    assert (organization.memberships.count(), QueuedMail.objects.count()) == (before, 0)


def test_one_click_invites_those_of_the_preview(
    admin_browser: Client, organization: Organization, sales: Group, settings: Any
) -> None:
    settings.EMAIL_CONFIGURED = True
    form = form_of("anna@example.org,Anna\nbob@example.org,,auditor\nnobody", groups=[str(sales.pk)])
    page = admin_browser.post(URL, previewed(admin_browser, form)).content.decode()
    assert "2 people are invited" in page
    anna, bob = (Membership.objects.get(user__email=f"{who}@example.org") for who in ("anna", "bob"))
    assert (anna.role, anna.state, bob.role) == (Role.MEMBER, MembershipState.INVITED, Role.AUDITOR)
    assert set(sales.members.all()) == {anna, bob}
    lines = JournalEntry.objects.filter(code="member.created")
    assert sorted(line.object_name for line in lines) == ["anna@example.org", "bob@example.org"]
    assert QueuedMail.objects.count() == 2


def test_what_was_not_previewed_is_not_invited(admin_browser: Client, organization: Organization) -> None:
    sent = previewed(admin_browser, form_of("anna@example.org")) | {"lines": "mallory@example.org"}
    page = admin_browser.post(URL, sent).content.decode()
    assert "look at this one first" in page
    assert not organization.memberships.filter(user__email="mallory@example.org").exists()
    other = previewed(admin_browser, form_of("anna@example.org")) | {"role": "admin"}
    admin_browser.post(URL, other)
    assert not organization.memberships.filter(user__email="anna@example.org").exists()


def test_a_second_click_invites_nobody_twice(admin_browser: Client, organization: Organization) -> None:
    sent = previewed(admin_browser, form_of("anna@example.org"))
    admin_browser.post(URL, sent)
    assert "0 people are invited" in admin_browser.post(URL, sent).content.decode()
    assert organization.memberships.filter(user__email="anna@example.org").count() == 1


def test_a_file_is_read(admin_browser: Client, organization: Organization) -> None:
    file = SimpleUploadedFile("people.csv", "\ufeffemail;name\r\nanna@example.org;Änne\r\n".encode())
    admin_browser.post(URL, previewed(admin_browser, {**form_of(""), "file": file}))
    assert organization.memberships.get(user__email="anna@example.org").user.name == "Änne"


def test_a_file_that_is_no_text_is_refused(admin_browser: Client) -> None:
    file = SimpleUploadedFile("people.csv", b"\xff\xfe\x00")
    assert "no text in UTF-8" in admin_browser.post(URL, {**form_of(""), "file": file}).content.decode()


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ("", "at least one line"),
        ("\n".join(f"p{number}@example.org" for number in range(MOST_LINES + 1)), "at most 100 at once"),
    ],
)
def test_too_few_and_too_many_lines_are_refused(admin_browser: Client, lines: str, words: str) -> None:
    assert words in admin_browser.post(URL, form_of(lines)).content.decode()


def test_each_gets_a_device(admin_browser: Client, instance: Instance) -> None:
    form = form_of("anna@example.org\nbob@example.org", instance=str(instance.pk), device="laptop")
    page = admin_browser.post(URL, previewed(admin_browser, form)).content.decode()
    assert f"a device on {instance.name}" in page
    peers = Peer.objects.filter(instance=instance).values_list("member__user__email", "device")
    assert sorted(peers) == [("anna@example.org", "laptop"), ("bob@example.org", "laptop")]


def test_a_refused_device_leaves_no_person_behind(
    admin_browser: Client, organization: Organization, instance: Instance
) -> None:
    sent = previewed(admin_browser, form_of("anna@example.org", instance=str(instance.pk), device="laptop"))
    organization.most_peers = 0
    organization.save()
    page = admin_browser.post(URL, sent).content.decode()
    assert "Quota reached" in page
    assert not organization.memberships.filter(user__email="anna@example.org").exists()


# The end of an invitation ---------------------------------------------------------------------------------------------


def test_an_invitation_ends_on_its_day(admin_browser: Client, organization: Organization) -> None:
    day = timezone.localdate() + timedelta(days=3)
    admin_browser.post(URL, previewed(admin_browser, form_of("anna@example.org", expiry=str(day))))
    anna = organization.memberships.get(user__email="anna@example.org")
    assert anna.invited_until is not None
    assert timezone.localdate(anna.invited_until) == day
    token = one_time_link(anna).rstrip("/").rpartition("/")[2]
    assert find_link(token) is not None
    Membership.objects.filter(pk=anna.pk).update(invited_until=timezone.now())
    assert find_link(token) is None
    assert not can_have_link(anna)
    assert "Invitation ended" in admin_browser.get(f"/people/{anna.pk}/").content.decode()


def test_who_has_joined_stays(organization: Organization) -> None:
    person = make_member(organization)
    Membership.objects.filter(pk=person.pk).update(invited_until=timezone.now())
    assert can_have_link(person)


# Declining ------------------------------------------------------------------------------------------------------------


def test_an_invitation_is_declined(admin_browser: Client, organization: Organization, instance: Instance) -> None:
    admin_browser.post(URL, previewed(admin_browser, form_of("anna@example.org", instance=str(instance.pk))))
    anna = organization.memberships.get(user__email="anna@example.org")
    visitor = Client()
    page = visitor.get(one_time_link(anna), follow=True).content.decode()
    assert "Decline the invitation" in page
    assert "You have declined" in visitor.post("/accounts/link/", {"decline": "true"}).content.decode()
    assert not organization.memberships.filter(user__email="anna@example.org").exists()
    assert not Peer.objects.exists()
    line = JournalEntry.objects.get(code="member.declined")
    assert (line.object_name, line.actor_id) == ("anna@example.org", str(anna.pk))
    assert visitor.post("/accounts/link/", {"decline": "true"}).status_code == 404


def test_only_an_invitation_is_declined(organization: Organization) -> None:
    person = make_member(organization)
    visitor = Client()
    page = visitor.get(one_time_link(person), follow=True).content.decode()
    assert "Decline" not in page
    visitor.post("/accounts/link/", {"decline": "true"})
    assert Membership.objects.filter(pk=person.pk).exists()
