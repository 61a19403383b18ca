"""Pools, networks and routes: pure arithmetic on addresses, with no database and no Django."""
