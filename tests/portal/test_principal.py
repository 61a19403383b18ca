"""Who acts: a member on pages, a token by the API, the portal with its reason."""

from __future__ import annotations

import pytest
from django.test import RequestFactory

from portal.audit.log import command_principal
from portal.models import ApiToken, Membership, Principal, PrincipalKind
from tests.factories import make_user
from vpn.api.protocol.auth import ApiTokenAuth

pytestmark = pytest.mark.django_db


def test_a_member_acts_by_their_address(member: Membership) -> None:
    assert member.principal == Principal(PrincipalKind.MEMBER, str(member.pk), member.user.email)
    assert str(member.principal) == member.user.email


@pytest.mark.parametrize("name", ["deploy", ""])
def test_a_request_with_an_api_token_is_the_tokens_act(member: Membership, name: str) -> None:
    token, text = ApiToken.issue(member, name=name)
    caller = ApiTokenAuth()(RequestFactory().get("/", headers={"Authorization": f"Bearer {text}"}))
    assert caller == member
    assert caller.principal == Principal(PrincipalKind.TOKEN, str(token.pk), name or f"of {member.user.email}")
    assert str(caller.principal) == f"the API token {name or f'of {member.user.email}'}"


def test_staff_a_command_and_the_portal_are_told_apart() -> None:
    user = make_user("op@example.org", is_staff=True)
    assert (user.staff_principal.kind, user.staff_principal.name) == (PrincipalKind.STAFF, "op@example.org")
    assert command_principal().kind == PrincipalKind.STAFF
    assert command_principal().name
    assert str(Principal.portal("renewing certificates")) == "the portal: renewing certificates"


def test_a_principal_comes_back_from_the_row_that_keeps_it(member: Membership) -> None:
    for one in (member.principal, Principal.portal("a reason"), Principal.device("1", "laptop")):
        assert Principal.from_document(one.document()) == one
