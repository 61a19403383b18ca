"""The slug that stands for a person in the names of their devices."""

from __future__ import annotations

import re
from importlib import import_module
from urllib.parse import urlsplit

import pytest
from django.apps import apps
from django.db import connection
from django.test import Client
from hypothesis import given
from hypothesis import strategies as st

from portal.actions.member import add_member, change_member
from portal.actions.sign_in_link import join_by_link, one_time_link
from portal.models import Membership, Organization, Role
from portal.naming import RESERVED_LABELS, dns_label, free_label
from tests.factories import BY, make_member

pytestmark = pytest.mark.both_databases

LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("Anna Müller", "anna-muller"),
        ("Søren Łukasz Þór", "soren-lukasz-thor"),
        ("  D'Artagnan \u2014 O\u2019Brien ", "dartagnan-obrien"),
        ("Großmann, Weiß & Söhne", "grossmann-weiss-sohne"),
        ("", "anna.bergman"),
        ("王小明", "anna.bergman"),
        ("x" * 60, "x" * 40),
    ],
)
def test_a_slug_is_made_of_the_name_or_else_of_the_address(organization: Organization, name: str, slug: str) -> None:
    member = add_member(organization, email="anna.bergman@example.org", name=name, role=Role.MEMBER, by=BY)
    assert member.slug == slug.replace(".", "-")


def test_people_of_one_name_are_numbered_within_their_organization(
    organization: Organization, other_organization: Organization
) -> None:
    annas = [make_member(organization, name=name).slug for name in ("Anna", "Ånna", "ANNA")]
    assert annas == ["anna", "anna-2", "anna-3"]
    assert make_member(other_organization, name="Anna").slug == "anna"
    assert [make_member(organization, name="y" * 50).slug for _ in range(2)] == ["y" * 40, "y" * 38 + "-2"]


def test_nobody_is_called_what_programs_ask_for_by_themselves(organization: Organization) -> None:
    assert make_member(organization, name="WPAD").slug == "wpad-2"
    assert make_member(organization, name="Localhost").slug == "localhost-2"


def test_a_slug_follows_a_rename_and_nothing_else(organization: Organization) -> None:
    make_member(organization, name="Anna Berg")
    member = make_member(organization, name="Anna")
    assert change_member(member, name="Anna Berg", by=BY).slug == "anna-berg-2"
    assert change_member(member, name="Änna  Berg", by=BY).slug == "anna-berg-2", "the same in a name"
    assert change_member(member, role=Role.AUDITOR, by=BY).slug == "anna-berg-2"


def test_a_new_name_does_not_travel_to_where_the_invitation_was_not_accepted(
    organization: Organization, other_organization: Organization
) -> None:
    member = make_member(organization, name="Anna", email="someone@example.org")
    elsewhere = add_member(other_organization, email="someone@example.org", role=Role.MEMBER, by=BY)
    change_member(member, name="Berta", by=BY)
    elsewhere.refresh_from_db()
    assert (elsewhere.label, elsewhere.slug) == ("someone@example.org", "someone")


def test_a_slug_follows_where_the_account_is_accepted(
    organization: Organization, other_organization: Organization
) -> None:
    member = make_member(organization, name="Anna", email="someone@example.org")
    elsewhere = add_member(other_organization, email="someone@example.org", name="Whoever", role=Role.MEMBER, by=BY)
    token = urlsplit(one_time_link(elsewhere)).path.split("/")[-2]
    assert join_by_link(token, member.user, by=BY) is not None
    elsewhere.refresh_from_db()
    assert (elsewhere.label, elsewhere.slug) == ("Anna", "anna")


def test_staff_rename_people_with_their_slugs(staff_browser: Client, member: Membership) -> None:
    values = {"name": "Carla Núñez", "is_active": "on"}
    assert staff_browser.post(f"/admin/portal/user/{member.user_id}/change/", values).status_code == 302
    member.refresh_from_db()
    assert (member.user.name, member.slug) == ("Carla Núñez", "carla-nunez")


@given(st.text(), st.text())
def test_whatever_people_are_called_they_get_a_label(name: str, other: str) -> None:
    label = dns_label(name, fallback="member")
    assert LABEL.fullmatch(label)
    assert "--" not in label
    numbered = free_label(label, {label, dns_label(other, fallback="member")})
    assert LABEL.fullmatch(numbered)
    assert numbered not in {label, dns_label(other, fallback="member")} | RESERVED_LABELS


def test_members_of_before_get_slugs_when_the_portal_is_renewed(organization: Organization) -> None:
    first, second = make_member(organization, name="Anna"), make_member(organization, name="Anna")
    Membership.objects.filter(pk__in=[first.pk, second.pk]).update(slug="")
    import_module("portal.migrations.0003_slugs").give_slugs(apps, connection.schema_editor())
    found = Membership.objects.filter(pk__in=[first.pk, second.pk]).order_by("created_at")
    assert [member.slug for member in found] == ["anna", "anna-2"]
