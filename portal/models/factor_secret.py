"""Sealed secrets of second factors: the key of an authenticator app, the seed of recovery codes.

allauth's own rows name them by id. Passkeys have none: the portal knows only their public keys.
"""

from __future__ import annotations

import uuid

from django.db import models
from django.utils.translation import gettext_lazy as _

from portal.sealing import Sealed


class FactorSecret(models.Model):
    """One secret, referred to by one row of allauth's Authenticator."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    secret_sealed = models.TextField()
    # The time step of the newest code that was used: each code works once (RFC 6238, 5.2).
    used_step = models.BigIntegerField(default=0)

    secret = Sealed("secret_sealed")

    class Meta:
        verbose_name = _("second factor")

    def __str__(self) -> str:
        return f"second factor {self.pk}"
