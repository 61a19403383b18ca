"""Prepares the server for hubs: checks it, installs packages and the agent, and keeps `watch` running."""
