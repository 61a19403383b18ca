"""The audit log: its lines, and the receivers of signals that write some of them."""
