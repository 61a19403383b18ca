"""Proofs that a hub is reached, in pure Python. Nothing here imports Django or configures anything."""
