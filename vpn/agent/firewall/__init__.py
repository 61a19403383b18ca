"""The firewall inside a hub: who reaches whom, and how many connections each peer may have."""
