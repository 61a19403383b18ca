"""A hub's network namespace, its addresses and routes, and its way out through the host."""
