"""Turns rows into what a page shows: words, groups and shapes for views and templates."""
