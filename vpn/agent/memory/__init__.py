"""The agent's saved state of its hubs, and the names of their parts."""
