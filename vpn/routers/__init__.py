"""Routers that enrol and follow by themselves: their script and their configuration."""
