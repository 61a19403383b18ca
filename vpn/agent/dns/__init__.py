"""The hub's resolver: dnsmasq, its configuration and its upstream resolvers."""

from vpn.agent.dns.component import change, check, drift, ensure, is_alive, remove, stop, with_servers_of

__all__ = ["change", "check", "drift", "ensure", "is_alive", "remove", "stop", "with_servers_of"]
