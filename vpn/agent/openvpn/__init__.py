"""OpenVPN: its listeners, its sessions, and the options pushed to peers."""

from vpn.agent.openvpn.component import change, check, drift, ensure, is_alive, remove, reports, shut_out, stop_inside

__all__ = ["change", "check", "drift", "ensure", "is_alive", "remove", "reports", "shut_out", "stop_inside"]
