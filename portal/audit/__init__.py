"""The audit log: its lines, and the signals that write some of them."""
