"""Quotas of an organization. Staff set the limits in Django admin; otherwise defaults apply."""

from __future__ import annotations

from typing import Final

from django.db import models
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _


class Quota(models.TextChoices):
    """The limited kinds of objects. The limit is the organization's column `most_<value>`."""

    INSTANCES = "instances", _("Instances")
    PROVISIONING = "provisioning", _("Instances being provisioned at once")
    PEERS = "peers", _("Peers")
    SITES = "sites", _("Sites")
    SUBNETS = "subnets", _("Subnets of sites")
    RULES = "rules", _("Firewall rules")
    DNS_RECORDS = "dns_records", _("DNS records")
    MEMBERS = "members", _("Members and invitations")
    GROUPS = "groups", _("Groups")
    API_TOKENS = "api_tokens", _("API tokens")
    API_CALLS = "api_calls", _("API calls a minute")


# Enough for a company with a thousand branches, and low enough that one tenant cannot use up a shared server. Peers:
# twice the largest measured hub. Each hub that is being provisioned occupies a worker for seconds.
DEFAULT_LIMITS: Final[dict[Quota, int]] = {
    Quota.INSTANCES: 50,
    Quota.PROVISIONING: 5,
    Quota.PEERS: 20_000,
    Quota.SITES: 2_000,
    Quota.SUBNETS: 20_000,
    Quota.RULES: 5_000,
    Quota.DNS_RECORDS: 5_000,
    Quota.MEMBERS: 10_000,
    Quota.GROUPS: 500,
    Quota.API_TOKENS: 1_000,
    Quota.API_CALLS: 6_000,
}

# The rest of a refusal after "5 of 5".
IN_USE: Final[dict[Quota, str | Promise]] = {
    Quota.INSTANCES: _("instances are in use"),
    Quota.PROVISIONING: _("instances are being provisioned"),
    Quota.PEERS: _("peers are in use"),
    Quota.SITES: _("sites are in use"),
    Quota.SUBNETS: _("subnets are in use"),
    Quota.RULES: _("firewall rules are in use"),
    Quota.DNS_RECORDS: _("DNS records are in use"),
    Quota.MEMBERS: _("members and invitations are in use"),
    Quota.GROUPS: _("groups are in use"),
    Quota.API_TOKENS: _("API tokens are in use"),
    Quota.API_CALLS: _("API calls of this minute are used"),
}


def limit_column(quota: Quota) -> models.PositiveIntegerField[int | None, int | None]:
    """The column of an organization that holds its limit; empty means the default."""
    return models.PositiveIntegerField(quota.label, null=True, blank=True)
