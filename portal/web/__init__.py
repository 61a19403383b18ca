"""Requests on their way in and out: client addresses, proxies, the cache, time zones, navigation."""
