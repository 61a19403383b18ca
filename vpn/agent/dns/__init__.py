"""The hub's resolver: dnsmasq, its configuration and its upstream resolvers."""
