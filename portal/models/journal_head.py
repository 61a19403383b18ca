"""The head of an organization's hash chain: where the sealed lines of its journal end, and where they begin."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from portal.sealing import Sealed


class JournalHead(models.Model):
    """The last sealed line, the last pruned one (the anchor), and the key of the hashes."""

    # Not a foreign key: the journal outlives the organization.
    organization_id = models.UUIDField(primary_key=True)
    begun_at = models.DateTimeField()
    position = models.PositiveBigIntegerField(default=0)
    hash = models.CharField(max_length=64, blank=True)
    anchor_position = models.PositiveBigIntegerField(default=0)
    anchor_hash = models.CharField(max_length=64, blank=True)
    # Of all the columns above, under the key: whoever has the database alone can move neither end.
    signature = models.CharField(max_length=64)
    # A random key of this chain, and not one of SECRET_KEYS: it stays the same when those are rotated.
    key_sealed = models.TextField()
    key = Sealed("key_sealed")

    class Meta:
        verbose_name = _("head of a journal")
        verbose_name_plural = _("journals")

    def __str__(self) -> str:
        return f"line {self.position:,} of {self.organization_id}"
