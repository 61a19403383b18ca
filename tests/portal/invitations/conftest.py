"""The organization that invites, an account that it does not know, and the mail that was sent."""

from __future__ import annotations

import pytest
from django.core.mail import EmailMessage
from pytest_django import Settings

from portal.models import Membership, Organization
from tests.factories import make_member
from tests.portal.invitations.visitors import KNOWN
from tests.portal.mailbox import Mailbox
from tests.vpn.api.caller import Caller


@pytest.fixture
def known(organization: Organization) -> Membership:
    """A member with an account, in another organization than the one that invites."""
    return make_member(organization, email=KNOWN, name="Karla Known")


@pytest.fixture
def stranger_api(stranger: Membership) -> Caller:
    """The API as the admin of the organization that invites."""
    return Caller.of(stranger)


@pytest.fixture
def mail(settings: Settings, mailoutbox: list[EmailMessage]) -> Mailbox:
    """The mail that the portal sent; a mail server is configured."""
    settings.EMAIL_CONFIGURED = True
    return Mailbox(mailoutbox)
