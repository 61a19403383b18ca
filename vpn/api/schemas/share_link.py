"""The share link of a peer, without its token."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar, Literal

from pydantic import Field

from vpn.api.schemas.base import In, Out, Text
from vpn.models import ProfileLink


class LinkMail(In):
    """A mail with a new share link, to the peer's user."""

    passphrase: Text = Field(
        "", description="6 to 100 characters that the link asks for. The mail does not contain it: tell it otherwise."
    )


class ShareLinkOut(Out):
    """The share link of a peer."""

    observed: ClassVar[frozenset[str]] = frozenset(["opened", "mail_state", "mail_fault", "mailed_at"])

    expires_at: datetime
    opened: bool = Field(description="A browser has opened it, and can do so again until it expires.")
    asks_passphrase: bool
    mailed_to: str | None
    mail_state: Literal["waiting", "failed", "sent"] | None = Field(
        description="`waiting` until the mail server answers; null for a link that is not mailed."
    )
    mail_fault: str | None = Field(description="Why the mail server did not take it; it may be tried again.")
    mailed_at: datetime | None

    @classmethod
    def of(cls, link: ProfileLink) -> ShareLinkOut:
        """The representation."""
        state: Literal["waiting", "failed", "sent"] = "waiting"
        if link.mail_fault:
            state = "failed"
        elif link.mailed_at is not None:
            state = "sent"
        return cls(
            expires_at=link.expires_at,
            opened=bool(link.browser_digest),
            asks_passphrase=bool(link.passphrase_hash),
            mailed_to=link.mailed_to or None,
            mail_state=state if link.mailed_to else None,
            mail_fault=link.mail_fault_words or None,
            mailed_at=link.mailed_at,
        )
