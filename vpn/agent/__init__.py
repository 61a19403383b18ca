"""The server's side: turns a HubSpec into interfaces, routes and firewall. Standard library only, one zipapp."""
