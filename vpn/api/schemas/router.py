"""What routers send."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StrictInt, StrictStr

from vpn.actions.sites.check_in import CheckIn
from vpn.actions.sites.router import RouterReport
from vpn.api.schemas.base import In, Out

_Text = Annotated[StrictStr, Field(max_length=200)]
_Fingerprint = Annotated[StrictStr, Field(pattern="^([0-9a-f]{64})?$")]


class EnrolmentOut(Out):
    """What enrols a site's router, once. `lines` are for its shell, by the program that they need."""

    token: str
    token_ttl: int = Field(description="Seconds.")
    lines: dict[str, str]


class RouterEnrol(In):
    """A router that enrols: its public key, what it is, and the networks on its own interfaces."""

    public_key: _Text
    model: _Text = ""
    version: _Text = ""
    identity: _Text = ""
    subnets: list[_Text] = Field([], max_length=500)

    def report(self) -> RouterReport:
        """The same for the action."""
        return RouterReport(**self.model_dump())


class RolledBack(In):
    """The configuration from which a router went back by itself."""

    fingerprint: _Fingerprint
    why: Literal["no-handshake", "not-applied"]


class RouterCheckIn(In):
    """A router's check-in. `version` is its program's; `handshake_age` counts seconds."""

    version: StrictInt = Field(ge=1, le=1_000_000)
    applied: _Fingerprint = ""
    handshake_age: StrictInt | None = Field(None, ge=0, le=10**9)
    addresses: list[_Text] = Field([], max_length=50)
    rolled_back: RolledBack | None = None

    def said(self) -> CheckIn:
        """The same for the action."""
        back = self.rolled_back
        return CheckIn(
            applied=self.applied,
            handshake_age=self.handshake_age,
            addresses=[one for one in self.addresses if one.isprintable()],
            refused=back.fingerprint if back else "",
            why=back.why if back else "",
        )
