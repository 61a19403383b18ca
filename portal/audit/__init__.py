"""The audit log, and what the journal may say of an object."""
