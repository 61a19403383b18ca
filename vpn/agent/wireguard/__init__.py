"""WireGuard: the tunnel interface, its peers, and what they last said."""
