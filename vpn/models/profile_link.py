"""Share links and import addresses: a profile fetched once, by the first holder of the token."""

from __future__ import annotations

import uuid
from typing import ClassVar

from django.db import models
from django.utils.translation import gettext_lazy as _

from portal.models import Membership
from portal.models.queued_mail import LONGEST_FAULT
from portal.told import text_in_words
from vpn.models.peer import Peer


class LinkKind(models.TextChoices):
    """Who follows the link."""

    SHARE = "share", _("Share link")
    IMPORT = "import", _("Import by the app")


class ProfileLink(models.Model):
    """A one-time token for one peer's profile, stored as a digest.

    A program that redeems it deletes it. A browser that opens it is noted, and may come back until it expires. An app
    that imports it deletes it.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    peer = models.ForeignKey(Peer, on_delete=models.CASCADE, related_name="+")
    kind = models.CharField(max_length=6, choices=LinkKind.choices, default=LinkKind.SHARE, db_default=LinkKind.SHARE)
    digest = models.CharField(max_length=64, unique=True)
    expires_at = models.DateTimeField()
    # The member who created it, whom the page names before it shows the profile. Null if that member has left.
    made_by = models.ForeignKey(Membership, on_delete=models.SET_NULL, null=True, blank=True, related_name="+")
    # Digest of the secret of the browser that opened it; empty until then.
    browser_digest = models.CharField(max_length=64, blank=True)
    # Hash of the passphrase that it asks for; empty for none.
    passphrase_hash = models.CharField(max_length=128, blank=True, default="", db_default="")
    # Digest of the secret of the browser that gave the passphrase, before it opened the link.
    proven_digest = models.CharField(max_length=64, blank=True, default="", db_default="")
    wrong_passphrases = models.PositiveSmallIntegerField(default=0, db_default=0)
    # Of a mailed link: the address, when the mail server took the mail, and why it did not (portal.told, as text).
    mailed_to = models.EmailField(max_length=254, blank=True, default="", db_default="")
    mailed_at = models.DateTimeField(null=True, blank=True)
    mail_fault = models.CharField(max_length=LONGEST_FAULT, blank=True, default="", db_default="")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["peer", "kind"], name="one_link_of_a_kind_per_peer")
        ]

    def __str__(self) -> str:
        return f"share token of {self.peer_id}"

    @property
    def mail_fault_words(self) -> str:
        """Why its mail did not go out, in words; "" if it did, or is on its way."""
        return text_in_words(self.mail_fault)
