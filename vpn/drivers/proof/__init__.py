"""Clients that prove that a hub answers, in pure Python. Nothing here imports Django or configures anything."""
