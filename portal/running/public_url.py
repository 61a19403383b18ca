"""Whether PUBLIC_URL is an address that the portal can be reached at."""

from __future__ import annotations

from urllib.parse import urlsplit


def public_url_fault(url: str) -> str:
    """What is wrong with PUBLIC_URL, in a sentence that says what to write; empty where nothing is."""
    try:
        parts = urlsplit(url)
        has_host = bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:  # a port that is no number, or half of a pair of brackets
        return _not_an_address(url)
    # urlsplit drops white space at the ends, and keeps it in a host.
    has_space = any(character.isspace() for character in url)
    if parts.scheme not in {"http", "https"} or not has_host or "@" in parts.netloc or has_space:
        return _not_an_address(url)
    if parts.path.strip("/") or parts.query or parts.fragment:
        # Pages, static files and the API have paths from the root, which a path in front of them would break.
        return (
            f"PUBLIC_URL must have nothing behind the host, so {url!r} does not work. The portal needs a host of its "
            f"own, such as {parts.scheme}://{parts.netloc}: give it a name of its own in your proxy."
        )
    return ""


def _not_an_address(url: str) -> str:
    return f"PUBLIC_URL must be a full address such as https://vpn.example.org, not {url!r}"
