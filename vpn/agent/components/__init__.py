"""What a hub is made of. Components do not import each other; `vpn.agent.apply` puts them in order."""
