"""Stored answers, so that a repeated POST gets the same answer and its work is not repeated."""

from __future__ import annotations

import uuid
from typing import ClassVar

from django.db import models

from portal.models import Membership
from portal.sealing import Sealed


class IdempotencyKey(models.Model):
    """The answer to one POST that carried an Idempotency-Key.

    The row is written in the transaction that does the work, so an answer exists exactly if there was an effect. An
    answer may hold a share token, so it is sealed.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    membership = models.ForeignKey(Membership, on_delete=models.CASCADE, related_name="idempotency_keys")
    key = models.CharField(max_length=255)
    # SHA-256 of method, path and body. The same key with another request is an error of the client.
    request_digest = models.CharField(max_length=64)
    answer_sealed = models.TextField(blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    answer = Sealed("answer_sealed", lasting=False)

    class Meta:
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["created_at"], name="idempotency_key_age"),
            models.Index(fields=["membership", "created_at"], name="idempotency_key_of_member"),
        ]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["membership", "key"], name="idempotency_key_once_per_member")
        ]

    def __str__(self) -> str:
        return f"answer kept for {self.membership_id}"
