"""The tenant. Data of different organizations is isolated."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Final

from django.db import models

from portal.models.quota import DEFAULT_LIMITS, Quota, limit_column

DEFAULT_KEY_MINUTES: Final = 60
DEFAULT_DEVICES: Final = 5


class Organization(models.Model):
    """Owns instances, sites and members."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=60)
    slug = models.SlugField(max_length=40, unique=True)
    created_at = models.DateTimeField(auto_now_add=True)
    # Members without a second factor can only set one up. API tokens are not affected.
    second_factor_required = models.BooleanField(default=False, db_default=False)
    # How long lines of its journal are kept, in days; NULL means JOURNAL_DAYS.
    journal_days = models.PositiveIntegerField(null=True, blank=True)
    # For how long a private key that the portal made can be fetched, in minutes; NULL means DEFAULT_KEY_MINUTES.
    custody_minutes = models.PositiveIntegerField(null=True, blank=True)
    # After how many days without use its new devices end; NULL means never.
    unused_days = models.PositiveSmallIntegerField(null=True, blank=True)
    # True if nobody is mailed before a device ends.
    reminders_off = models.BooleanField(default=False, db_default=False)
    # How long ended connections are kept, in days; NULL means CONNECTION_DAYS.
    connection_days = models.PositiveIntegerField(null=True, blank=True)
    # How many devices a member may have and still add one; NULL means DEFAULT_DEVICES.
    devices_per_member = models.PositiveSmallIntegerField(null=True, blank=True)
    most_instances = limit_column(Quota.INSTANCES)
    most_provisioning = limit_column(Quota.PROVISIONING)
    most_peers = limit_column(Quota.PEERS)
    most_sites = limit_column(Quota.SITES)
    most_subnets = limit_column(Quota.SUBNETS)
    most_rules = limit_column(Quota.RULES)
    most_dns_records = limit_column(Quota.DNS_RECORDS)
    most_members = limit_column(Quota.MEMBERS)
    most_groups = limit_column(Quota.GROUPS)
    most_api_tokens = limit_column(Quota.API_TOKENS)
    most_api_calls = limit_column(Quota.API_CALLS)

    def __str__(self) -> str:
        return self.name

    @property
    def key_window(self) -> timedelta:
        """How long after the first reveal a private key that the portal made is destroyed."""
        return timedelta(minutes=self.custody_minutes or DEFAULT_KEY_MINUTES)

    def limit(self, quota: Quota) -> int:
        """The organization's limit: the value that staff set, else the default."""
        chosen: int | None = getattr(self, f"most_{quota.value}")
        return DEFAULT_LIMITS[quota] if chosen is None else chosen
