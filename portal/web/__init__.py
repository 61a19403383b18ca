"""Processing of requests: client addresses, proxies, the cache, time zones, navigation."""
