"""What the API serves: one file for each kind of resource."""
