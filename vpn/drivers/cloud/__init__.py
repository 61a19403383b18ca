"""Clouds: nodes that are ordered, found by their tags, and removed, through apache-libcloud."""
