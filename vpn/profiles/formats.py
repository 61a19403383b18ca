"""The files that a peer can have, by format: the plain profile, and those of its router's platform."""

from __future__ import annotations

from vpn.models import Peer
from vpn.profiles.peer import Rendered, render_profile
from vpn.profiles.router import ProfileFile
from vpn.profiles.site_files import router_profile


def files_of(peer: Peer, family: int | None = None) -> dict[str, ProfileFile]:
    """The peer's files with their keys, the one that its device takes first. Raises NoAddress, or NoFamily."""
    return files_beside(peer, render_profile(peer, family=family), family)


def files_beside(peer: Peer, plain: Rendered, family: int | None = None) -> dict[str, ProfileFile]:
    """`files_of` for a peer whose plain profile is there already."""
    router = router_profile(peer, family)
    files = {file.format: file for file in (router.files if router else ())}
    own = ProfileFile(plain.filename, plain.content, plain.content_type, f"Profile for {peer.get_protocol_display()}")
    # A platform's file of the same format differs in names alone, which the platform's other files rely on.
    files.setdefault(own.format, own)
    return files
