"""Django admin for staff: mostly read-only, with the acts that only staff may do. Sealed columns are never shown."""

from vpn.admin import clouds, hubs, queues, servers

__all__ = ["clouds", "hubs", "queues", "servers"]
