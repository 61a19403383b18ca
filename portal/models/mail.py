"""Mail that was not sent because the portal has no mail server. Staff read it in Django admin."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.utils.translation import gettext_lazy as _


class Mail(models.Model):
    """One message to one person, as it would have been sent. It contains links to pages, but no tokens."""

    to = models.CharField(max_length=320)
    subject = models.CharField(max_length=200)
    body = models.TextField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering: ClassVar[list[str]] = ["-created_at", "-id"]
        verbose_name_plural = _("mail")

    def __str__(self) -> str:
        return self.subject
