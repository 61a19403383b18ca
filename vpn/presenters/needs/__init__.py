"""Problems that need a person, in words, all marked for translation.

Pages, the API and /healthz take the words from here, and the facts from `vpn.needs`.
"""

from vpn.presenters.needs.notice import Notice, notices_of, notices_of_all
from vpn.presenters.needs.portal import hubs_health, portal_notices

__all__ = ["Notice", "hubs_health", "notices_of", "notices_of_all", "portal_notices"]
