"""The protocol between portal and agent: specs, deltas, reports, errors. It needs the standard library only."""
