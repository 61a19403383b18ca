"""What a peer's device imports: pure text from data."""
