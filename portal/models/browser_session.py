"""Where an account is signed in: browser, address and when it was last seen, beside the session itself."""

from __future__ import annotations

import uuid

from django.db import models
from django.utils import timezone

from portal.models.user import User
from portal.user_agent import browser_name


class BrowserSession(models.Model):
    """One session of one browser, named by the digest under which the session is stored; neither opens it."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="browser_sessions")
    digest = models.CharField(max_length=40, unique=True)
    address = models.GenericIPAddressField(null=True)
    user_agent = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField(default=timezone.now)
    seen_at = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return f"{self.browser} of {self.user}"

    @property
    def browser(self) -> str:
        """The browser's name for people."""
        return browser_name(self.user_agent)
