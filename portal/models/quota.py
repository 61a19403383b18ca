"""Quotas of an organization. Staff set the limits in Django admin; otherwise defaults apply."""

from __future__ import annotations

from typing import Final

from django.db import models


class Quota(models.TextChoices):
    """The limited kinds of objects. The limit is the organization's column `most_<value>`."""

    INSTANCES = "instances", "Instances"
    PROVISIONING = "provisioning", "Instances being provisioned at once"
    PEERS = "peers", "Peers"
    SITES = "sites", "Sites"
    SUBNETS = "subnets", "Subnets of sites"
    RULES = "rules", "Firewall rules"
    DNS_RECORDS = "dns_records", "DNS records"
    MEMBERS = "members", "Members and invitations"
    GROUPS = "groups", "Groups"
    API_TOKENS = "api_tokens", "API tokens"
    API_CALLS = "api_calls", "API calls a minute"


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
IN_USE: Final[dict[Quota, str]] = {
    Quota.INSTANCES: "instances are in use",
    Quota.PROVISIONING: "instances are being provisioned",
    Quota.PEERS: "peers are in use",
    Quota.SITES: "sites are in use",
    Quota.SUBNETS: "subnets are in use",
    Quota.RULES: "firewall rules are in use",
    Quota.DNS_RECORDS: "DNS records are in use",
    Quota.MEMBERS: "members and invitations are in use",
    Quota.GROUPS: "groups are in use",
    Quota.API_TOKENS: "API tokens are in use",
    Quota.API_CALLS: "API calls of this minute are used",
}


def limit_column(quota: Quota) -> models.PositiveIntegerField[int | None, int | None]:
    """The column of an organization that holds its limit; empty means the default."""
    return models.PositiveIntegerField(quota.label, null=True, blank=True)
