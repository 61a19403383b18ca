"""What a server remembers of its hubs, and what it calls what belongs to them."""
