"""OpenVPN: its listeners, its sessions, and what peers are pushed."""

from vpn.agent.openvpn.component import change, check, drift, ensure, is_alive, leave, remove, reports

__all__ = ["change", "check", "drift", "ensure", "is_alive", "leave", "remove", "reports"]
