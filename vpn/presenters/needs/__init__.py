"""What needs someone, in words, all marked for translation: pages, the API and /healthz take it from here.

The facts are those of `vpn.needs`.
"""

from vpn.presenters.needs.notice import Notice, notices_of, notices_of_all
from vpn.presenters.needs.portal import hubs_health, portal_notices

__all__ = ["Notice", "hubs_health", "notices_of", "notices_of_all", "portal_notices"]
