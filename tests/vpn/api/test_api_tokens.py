"""A program lists, makes and revokes the API tokens of its own member."""

from __future__ import annotations

from datetime import timedelta

import pytest
from allauth.account.adapter import get_adapter
from django.test import Client
from django.utils import timezone

from portal.actions.member import change_member, remove_member
from portal.actions.sign_in_link import one_time_link, set_password_by_link
from portal.models import ApiToken, Membership, Organization, User
from tests.factories import BY, PASSWORD
from tests.vpn.api.caller import Caller, refused, told


def test_a_token_is_made_listed_used_and_revoked(member_api: Caller, member: Membership) -> None:
    made = told(member_api.post("/tokens", {"name": "Backup"}), 201)
    other = Caller(made.pop("token"))
    assert (made["name"], made["last_used_at"], made["expired"], made["current"]) == ("Backup", None, False, False)
    listed = told(member_api.get("/tokens"), 200)
    assert [one["current"] for one in listed] == [True, False]
    assert listed[1] == made
    told(other.get("/tokens"), 200)
    assert told(member_api.get("/tokens"), 200)[1]["last_used_at"] is not None
    assert member_api.delete(f"/tokens/{made['id']}").status_code == 204
    refused(other.get("/tokens"), 401, "token-invalid")
    refused(member_api.delete(f"/tokens/{made['id']}"), 404)


def test_a_token_is_told_once_and_kept_as_a_digest(api: Caller, admin: Membership) -> None:
    text = told(api.post("/tokens", {}), 201)["token"]
    assert text not in api.get("/tokens").content.decode()
    assert ApiToken.digest_of(text) not in api.get("/tokens").content.decode()
    row = ApiToken.objects.filter(digest=ApiToken.digest_of(text)).values().get()
    assert text not in map(str, row.values())


def test_a_token_expires_in_a_year_unless_another_time_is_asked(api: Caller) -> None:
    tokens = {
        "usual": told(api.post("/tokens", {}), 201),
        "never": told(api.post("/tokens", {"expires_at": None}), 201),
        "soon": told(api.post("/tokens", {"expires_at": "2099-01-31T18:00:00Z"}), 201),
    }
    assert [tokens[name]["expires_at"] for name in ("never", "soon")] == [None, "2099-01-31T18:00:00Z"]
    usual = ApiToken.objects.get(pk=tokens["usual"]["id"])
    assert usual.expires_at is not None
    assert abs(usual.expires_at - timezone.now() - timedelta(days=365)) < timedelta(minutes=5)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"expires_at": "2020-01-31T18:00:00Z"}, "expires_at"),
        ({"expires_at": "tomorrow"}, "expires_at"),
        ({"name": "x" * 61}, "name"),
        ({"name": "two\nlines"}, "name"),
        ({"role": "admin"}, "role"),
    ],
)
def test_a_fault_is_told_beside_its_field(api: Caller, body: dict[str, str], field: str) -> None:
    assert list(refused(api.post("/tokens", body), 422)["errors"]) == [field]


def test_a_token_makes_none_that_outlives_it(admin: Membership) -> None:
    end = timezone.now() + timedelta(days=2)
    short = Caller(ApiToken.issue(admin, expires_at=end)[1])
    for later in (None, (end + timedelta(seconds=1)).isoformat()):
        assert list(refused(short.post("/tokens", {"expires_at": later}), 422)["errors"]) == ["expires_at"]
    made = told(short.post("/tokens", {}), 201)
    assert ApiToken.objects.get(pk=made["id"]).expires_at == end


def test_an_expired_token_is_refused_and_says_so(admin: Membership) -> None:
    token, text = ApiToken.issue(admin, expires_at=timezone.now() + timedelta(days=1))
    told(Caller(text).get("/sites"), 200)
    ApiToken.objects.filter(pk=token.pk).update(expires_at=timezone.now() - timedelta(seconds=1))
    answer = Caller(text).get("/sites")
    refused(answer, 401, "token-expired")
    assert 'error="invalid_token"' in answer["WWW-Authenticate"]


def test_another_members_tokens_are_not_there(api: Caller, member: Membership) -> None:
    theirs, _ = ApiToken.issue(member)
    assert str(theirs.pk) not in api.get("/tokens").content.decode()
    refused(api.delete(f"/tokens/{theirs.pk}"), 404)


def test_the_quota_is_told(api: Caller, organization: Organization) -> None:
    organization.most_api_tokens = 1
    organization.save()
    body = refused(api.post("/tokens", {}), 409, "quota-api-tokens")
    assert "1 of 1 API tokens are in use" in body["message"]


def test_a_repeated_call_makes_one_token(api: Caller) -> None:
    first, second = (told(api.post("/tokens", {}, Idempotency_Key="one"), 201) for _ in range(2))
    assert first == second
    assert ApiToken.objects.count() == 2


# What ends them -------------------------------------------------------------------------------------------------------


def test_a_password_reset_ends_the_tokens_of_every_organization(
    member: Membership, other_organization: Organization
) -> None:
    ApiToken.issue(member)
    set_password_by_link(one_time_link(member).rstrip("/").rpartition("/")[2], "another long password", by=BY)
    assert not ApiToken.objects.exists()
    there = Membership.objects.create(organization=other_organization, user=member.user, state="active")
    for membership in (member, there):
        ApiToken.issue(membership)
    # As the link that comes by mail does it.
    get_adapter().set_password(User.objects.get(pk=member.user_id), "yet another password")
    assert not ApiToken.objects.exists()


def test_changing_ones_own_password_and_signing_in_end_none(member: Membership, member_browser: Client) -> None:
    ApiToken.issue(member)
    form = {"oldpassword": PASSWORD, "password1": "a longer password 1", "password2": "a longer password 1"}
    assert member_browser.post("/accounts/password/change/", form).status_code == 302
    member.user.refresh_from_db()
    assert member.user.check_password("a longer password 1")
    sign_in = {"login": member.user.email, "password": "a longer password 1"}
    assert Client().post("/accounts/login/", sign_in).status_code == 302
    assert ApiToken.objects.exists()


def test_leaving_and_being_deactivated_end_them(member: Membership, admin: Membership) -> None:
    text = ApiToken.issue(member)[1]
    change_member(member, active=False, by=BY)
    change_member(member, active=True, by=BY)
    refused(Caller(text).get("/tokens"), 401)
    text = ApiToken.issue(member)[1]
    remove_member(member, by=BY)
    refused(Caller(text).get("/tokens"), 401)


def test_an_account_that_staff_switch_off_and_on_again_has_none(member: Membership, staff_browser: Client) -> None:
    text = ApiToken.issue(member)[1]
    url = f"/admin/portal/user/{member.user_id}/change/"
    assert staff_browser.post(url, {"name": "", "email": member.user.email}).status_code == 302
    assert staff_browser.post(url, {"name": "", "email": member.user.email, "is_active": "on"}).status_code == 302
    refused(Caller(text).get("/tokens"), 401)


def test_staff_revoke_a_token_and_see_no_digest(member: Membership, staff_browser: Client) -> None:
    token, text = ApiToken.issue(member, name="Backup")
    page = staff_browser.get(f"/admin/portal/apitoken/{token.pk}/change/").content.decode()
    assert "Backup" in page
    assert token.digest not in page
    assert staff_browser.post(f"/admin/portal/apitoken/{token.pk}/delete/", {"post": "yes"}).status_code == 302
    refused(Caller(text).get("/tokens"), 401)
