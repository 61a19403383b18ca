"""`manage.py api_token`."""

from __future__ import annotations

from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from portal.models import ApiToken, Membership, MembershipState, Organization


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
