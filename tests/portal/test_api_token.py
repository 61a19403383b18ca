"""`manage.py api_token` and `manage.py api_tokens`."""

from __future__ import annotations

import json
from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from portal.models import ApiToken, Membership, MembershipState, Organization
from portal.models.api_token import Ceiling
from tests.factories import make_instance, make_organization
from vpn.models import Instance


def run(*arguments: str) -> str:
    """What the command prints on standard output."""
    out = StringIO()
    call_command("api_token", *arguments, stdout=out)
    return out.getvalue()


def test_the_token_stands_alone_on_standard_output(member: Membership) -> None:
    printed = run(member.user.email.upper())
    assert printed == printed.strip() + "\n"
    assert ApiToken.objects.get(digest=ApiToken.digest_of(printed.strip())).membership == member


@pytest.mark.django_db
def test_an_unknown_address_is_an_error() -> None:
    with pytest.raises(CommandError, match="no active member"):
        run("nobody@example.org")


def test_somebody_deactivated_gets_none(member: Membership) -> None:
    Membership.objects.filter(pk=member.pk).update(state=MembershipState.DEACTIVATED)
    with pytest.raises(CommandError):
        run(member.user.email)


def test_somebody_in_two_organizations_names_one(member: Membership, other_organization: Organization) -> None:
    there = Membership.objects.create(organization=other_organization, user=member.user, state=MembershipState.ACTIVE)
    with pytest.raises(CommandError, match="--organization"):
        run(member.user.email)
    token = run(member.user.email, "--organization", other_organization.slug).strip()
    assert ApiToken.objects.get(digest=ApiToken.digest_of(token)).membership == there
    with pytest.raises(CommandError):
        run(member.user.email, "--organization", "elsewhere")


def test_a_token_has_a_name_and_ends_in_a_year_unless_told_otherwise(member: Membership) -> None:
    for arguments, days in (((), 365), (("--days", "7"), 7)):
        token = _made(member, "--name", "Backup", *arguments)
        assert token.name == "Backup"
        assert token.expires_at is not None
        assert abs(token.expires_at - timezone.now() - timedelta(days=days)) < timedelta(minutes=5)
    assert _made(member, "--never").expires_at is None


def test_a_token_gets_limits(admin: Membership, instance: Instance) -> None:
    other = make_instance(admin.organization, name="Other")
    named = ("--instance", instance.hostname, "--instance", str(other.pk))
    token = _made(admin, "--ceiling", "read", "--expires", "2099-01-31", *named)
    assert token.ceiling == Ceiling.READ
    assert set(token.instances or ()) == {instance.pk, other.pk}
    assert token.expires_at is not None
    assert token.expires_at.isoformat().startswith("2099-01-31T23:59:59")
    assert _made(admin).instances is None
    assert _made(admin).ceiling == Ceiling.MANAGE


def test_a_token_of_an_auditor_reads(auditor: Membership) -> None:
    assert _made(auditor).ceiling == Ceiling.READ
    with pytest.raises(CommandError, match="Auditors only read"):
        run(auditor.user.email, "--ceiling", "manage")


def test_an_instance_is_one_that_the_member_may_see(member: Membership, admin: Membership, instance: Instance) -> None:
    with pytest.raises(CommandError, match="may not see instances"):
        run(member.user.email, "--instance", instance.hostname)
    with pytest.raises(CommandError, match="has no instance nowhere"):
        run(admin.user.email, "--instance", "nowhere")
    elsewhere = make_instance(make_organization("Elsewhere"), name="Elsewhere")
    with pytest.raises(CommandError, match="has no instance"):
        run(admin.user.email, "--instance", str(elsewhere.pk))
    assert not ApiToken.objects.exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ("--days", "0"),
        ("--days", "99999999"),
        ("--name", "x" * 61),
        ("--expires", "2020-01-31"),
        ("--expires", "soon"),
        ("--ceiling", "all"),
    ],
)
def test_a_wrong_option_is_told(member: Membership, arguments: tuple[str, str]) -> None:
    with pytest.raises(CommandError):
        run(member.user.email, *arguments)
    assert not ApiToken.objects.exists()


def test_the_quota_holds_for_the_command(member: Membership) -> None:
    member.organization.most_api_tokens = 0
    member.organization.save()
    with pytest.raises(CommandError, match="0 of 0 API tokens are in use"):
        run(member.user.email)


def test_tokens_are_listed_without_their_text(member: Membership) -> None:
    token = _made(member, "--name", "Backup", "--never")
    out = StringIO()
    call_command("api_tokens", "list", member.user.email, stdout=out)
    assert out.getvalue() == f"{token.pk}  Backup: manage, all instances, does not expire, never used\n"
    out = StringIO()
    call_command("api_tokens", "list", member.user.email, "--json", stdout=out)
    (shown,) = json.loads(out.getvalue())
    assert (shown["id"], shown["name"], shown["expires_at"]) == (str(token.pk), "Backup", None)
    assert token.digest not in out.getvalue()


def test_tokens_are_revoked_all_or_none(member: Membership) -> None:
    first, second = _made(member), _made(member)
    with pytest.raises(CommandError, match="Nothing was revoked"):
        call_command("api_tokens", "revoke", str(first.pk), str(member.pk))
    assert ApiToken.objects.count() == 2
    call_command("api_tokens", "revoke", str(first.pk), str(second.pk))
    assert not ApiToken.objects.exists()


def _made(member: Membership, *arguments: str) -> ApiToken:
    return ApiToken.objects.get(digest=ApiToken.digest_of(run(member.user.email, *arguments).strip()))
