"""OpenVPN: listeners, sessions, pushed options and routes."""
