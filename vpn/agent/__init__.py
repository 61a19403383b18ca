"""The program on the server: it turns a HubSpec into interfaces, routes, firewall rules and DNS.

It is shipped as one zipapp and needs the standard library only.
"""
