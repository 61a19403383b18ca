"""A hub's network namespace, its addresses and routes, and its link to the host."""
