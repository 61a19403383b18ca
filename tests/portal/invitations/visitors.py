"""What a person who was invited does, and the pages that they see."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from django.core.mail import EmailMessage
from django.test import Client

from portal.actions.sign_in_link import one_time_link
from portal.models import Membership

NEW = {"password1": "a brand new password", "password2": "a brand new password"}
USE = "/accounts/link/"
KNOWN = "known@example.org"
UNKNOWN = "empty@example.org"


def path_in(message: EmailMessage) -> str:
    """The path of the link in a mail."""
    found = re.search(r"https?://\S+", str(message.body))
    assert found
    return urlsplit(found[0]).path


def by_hand(membership: Membership) -> str:
    """The path of a link that an admin was shown."""
    return urlsplit(one_time_link(membership)).path


def sign_in(email: str, password: str) -> Client | None:
    """A browser that signed in; None if it was refused."""
    browser = Client()
    answer = browser.post("/accounts/login/", {"login": email, "password": password})
    return browser if answer.status_code == 302 else None


def blurred(page: bytes) -> str:
    """A page without what differs each time: ids, addresses, tokens and times."""
    text = page.decode().replace(KNOWN, "EMAIL").replace(UNKNOWN, "EMAIL")
    text = re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}", "ID", text)
    text = re.sub(r"\b[A-Za-z0-9]{64}\b", "TOKEN", text)
    # The challenge is random, and the account is the new one of the invitation.
    text = re.sub(r'data-options="[^"]*"', "OPTIONS", text)
    text = re.sub(r"<time.*?</time>", "TIME", text, flags=re.DOTALL)
    text = re.sub(r"\b(known|empty)\b", "SLUG", text)
    return re.sub(r"/accounts/link/\S+/", "LINK", text)
