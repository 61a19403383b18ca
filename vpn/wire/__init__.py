"""What portal and server say to each other: specs, deltas, reports, errors. Standard library alone."""
