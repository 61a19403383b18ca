"""Revisions of instances: reading and storing their content, and comparing two of them."""
