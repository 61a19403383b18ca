"""Boxes that import a plain profile on their own pages: the file, and the steps in the words of their menus."""
