"""Settings that take more than a line to make from the environment."""
