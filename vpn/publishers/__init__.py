"""Who makes the hubs' public names resolve, and whether they do."""
