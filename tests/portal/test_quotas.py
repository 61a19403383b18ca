"""What an organization may have at most: staff set it, its admin sees it, existing things stay."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from portal.actions.api_token import MOST_SHOWN_AFTER_END, create_token
from portal.actions.group import create_group
from portal.actions.member import add_member, change_member, remove_member
from portal.exceptions import QuotaReached
from portal.models import ApiToken, Membership, MembershipState, Organization, Quota
from portal.models.quota import DEFAULT_LIMITS, IN_USE
from portal.quotas import quota_uses
from tests.factories import BY, make_member

INLINE = {"memberships-TOTAL_FORMS": "0", "memberships-INITIAL_FORMS": "0"}


def limit(organization: Organization, quota: Quota, most: int | None) -> None:
    """Set a limit, as staff do."""
    setattr(organization, f"most_{quota.value}", most)
    organization.save()


def test_every_quota_has_a_default_words_and_a_counter(organization: Organization) -> None:
    assert set(DEFAULT_LIMITS) == set(IN_USE) == set(Quota)
    assert {use.quota: use.used for use in quota_uses(organization)} == dict.fromkeys(Quota, 0) | {Quota.MEMBERS: 1}
    assert {use.quota: use.limit for use in quota_uses(organization)} == DEFAULT_LIMITS


def test_a_refusal_names_the_quota_what_is_in_use_the_limit_and_what_to_do(organization: Organization) -> None:
    make_member(organization)
    limit(organization, Quota.MEMBERS, 2)
    with pytest.raises(QuotaReached) as refused:
        add_member(organization, email="new@example.org", role="member", by=BY)
    assert refused.value.code == "quota-members"
    assert refused.value.message == (
        "Quota reached: 2 of 2 members and invitations are in use. "
        "Ask the portal's staff for a higher limit, or remove unused ones."
    )


def test_what_is_above_a_limit_stays_and_nothing_is_added(organization: Organization, member: Membership) -> None:
    invited = add_member(organization, email="new@example.org", role="member", by=BY)
    limit(organization, Quota.MEMBERS, 1)
    with pytest.raises(QuotaReached, match="3 of 1 members"):
        add_member(organization, email="newer@example.org", role="member", by=BY)
    assert change_member(member, name="Anna", by=BY).user.name == "Anna"
    assert invited.state == MembershipState.INVITED
    assert organization.memberships.count() == 3


def test_invitations_and_deactivated_members_count_until_they_are_removed(organization: Organization) -> None:
    invited = add_member(organization, email="new@example.org", role="member", by=BY)
    change_member(make_member(organization), active=False, by=BY)
    limit(organization, Quota.MEMBERS, 3)
    with pytest.raises(QuotaReached):
        add_member(organization, email="newer@example.org", role="member", by=BY)
    remove_member(invited, by=BY)
    add_member(organization, email="newer@example.org", role="member", by=BY)


def test_who_is_here_already_is_told_so_at_the_limit_too(organization: Organization, member: Membership) -> None:
    limit(organization, Quota.MEMBERS, 2)
    with pytest.raises(Exception, match="is here already"):
        add_member(organization, email=member.user.email, role="member", by=BY)


def test_another_organization_is_not_concerned(organization: Organization, other_organization: Organization) -> None:
    limit(organization, Quota.GROUPS, 0)
    with pytest.raises(QuotaReached):
        create_group(organization, name="Sales", by=BY)
    create_group(other_organization, name="Sales", by=BY)


def test_tokens_that_expired_make_room(organization: Organization, member: Membership) -> None:
    token, _ = create_token(member, by=BY)
    limit(organization, Quota.API_TOKENS, 1)
    with pytest.raises(QuotaReached) as refused:
        create_token(member, by=BY)
    assert refused.value.code == "quota-api-tokens"
    token.expires_at = token.created_at
    token.save()
    create_token(member, by=BY)


def test_tokens_that_end_at_once_fill_no_table(member: Membership) -> None:
    now = timezone.now()
    ApiToken.objects.bulk_create(
        ApiToken(membership=member, digest=str(number), expires_at=now - timedelta(seconds=number))
        for number in range(MOST_SHOWN_AFTER_END + 20)
    )
    made, _ = create_token(member, by=BY)
    kept = {token.digest for token in ApiToken.objects.filter(membership=member).exclude(pk=made.pk)}
    assert kept == {str(number) for number in range(MOST_SHOWN_AFTER_END)}, "those that ended last"


def test_staff_set_limits_and_read_the_defaults(staff_browser: Client, organization: Organization) -> None:
    url = f"/admin/portal/organization/{organization.pk}/change/"
    page = staff_browser.get(url).content.decode()
    for quota in Quota:
        assert f'name="most_{quota.value}"' in page
    assert "Empty: 50, the default. In use: 0." in page
    own = {"name": organization.name, "slug": organization.slug, **INLINE}
    assert staff_browser.post(url, {**own, "most_instances": "3", "most_rules": "0"}).status_code == 302
    organization.refresh_from_db()
    assert (organization.limit(Quota.INSTANCES), organization.limit(Quota.RULES)) == (3, 0)
    assert organization.limit(Quota.PEERS) == DEFAULT_LIMITS[Quota.PEERS]
    assert staff_browser.post(url, {**own, "most_instances": ""}).status_code == 302
    organization.refresh_from_db()
    assert organization.limit(Quota.INSTANCES) == DEFAULT_LIMITS[Quota.INSTANCES]
    assert staff_browser.post(url, {**own, "most_instances": "-1"}).status_code == 200


def test_the_settings_page_shows_use_and_limits(
    admin_browser: Client, auditor_browser: Client, organization: Organization
) -> None:
    limit(organization, Quota.MEMBERS, 2)
    for browser in (admin_browser, auditor_browser):
        rows = re.findall(r"<tr>(.*?)</tr>", browser.get("/settings/").content.decode(), re.DOTALL)
        cells = [
            [re.sub(r"<[^>]+>", "", cell).strip() for cell in re.findall(r"<t[hd].*?</t[hd]>", row)] for row in rows
        ]
        assert ["Members and invitations", "2", "2", "Reached"] in cells
        assert ["Peers", "0", "20,000", ""] in cells


def test_nothing_typed_is_lost_where_a_person_is_refused(admin_browser: Client, organization: Organization) -> None:
    limit(organization, Quota.MEMBERS, 1)
    form = {"email": "new@example.org", "name": "Nora New", "role": "auditor"}
    page = admin_browser.post("/people/new/", form).content.decode()
    assert "1 of 1 members and invitations are in use" in page
    assert 'value="new@example.org"' in page
    assert 'value="Nora New"' in page
    assert re.search(r'value="auditor"\s+selected', page)
