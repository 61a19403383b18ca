"""Django admin for the portal's staff. Passwords, tokens and keys are not shown, not even as hashes.

Each save, deletion and action is an action of the portal, so that the journal has its line.
"""

from portal.admin import base, journal, mails, organizations, people

__all__ = ["base", "journal", "mails", "organizations", "people"]
