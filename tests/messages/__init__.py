"""Texts that a person sees: which are marked for translation, and whether the catalogues translate them."""
