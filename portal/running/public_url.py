"""Validation of PUBLIC_URL."""

from __future__ import annotations

from urllib.parse import urlsplit


def public_url_fault(url: str) -> str:
    """Return the fault of PUBLIC_URL with the expected form, or ""."""
    try:
        parts = urlsplit(url)
        has_host = bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:  # an invalid port, or an unbalanced bracket
        return _not_an_address(url)
    # urlsplit strips white space at the ends, but not inside the host.
    has_space = any(character.isspace() for character in url)
    if parts.scheme not in {"http", "https"} or not has_host or "@" in parts.netloc or has_space:
        return _not_an_address(url)
    if parts.path.strip("/") or parts.query or parts.fragment:
        # Pages, static files and the API use absolute paths, so the portal cannot run below a path.
        return (
            f"PUBLIC_URL must have nothing behind the host, so {url!r} does not work. The portal needs a host of its "
            f"own, such as {parts.scheme}://{parts.netloc}: give it a name of its own in your proxy."
        )
    return ""


def _not_an_address(url: str) -> str:
    return f"PUBLIC_URL must be a full address such as https://vpn.example.org, not {url!r}"
