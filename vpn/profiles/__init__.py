"""The files that a peer's device imports: pure text from data."""
