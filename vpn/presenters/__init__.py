"""From rows to what a page says: words, groups and shapes for views and templates."""
