"""Django admin for staff: mostly read-only, with the acts that only staff may do. Sealed columns are never shown."""

from vpn.admin import clouds, hubs, mails, operations, queues, servers, tenants

__all__ = ["clouds", "hubs", "mails", "operations", "queues", "servers", "tenants"]
