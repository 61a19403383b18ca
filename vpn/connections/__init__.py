"""The connection journal: its ends by acts of the portal, reading, export and retention."""
