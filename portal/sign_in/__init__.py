"""Creating accounts, signing in, and protection against password guessing."""
