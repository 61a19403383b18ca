"""The public name of an instance in JSON."""

from __future__ import annotations

from typing import Any, Literal

from ninja import Field

from vpn.api.schemas.base import Out
from vpn.models import Instance
from vpn.presenters.instances.public_name import state_of, wanted_records


class NameRecordOut(Out):
    """A record of the hub's public name."""

    type: Literal["A", "AAAA"]
    value: str


class PublicNameOut(Out):
    """Does `hostname` lead to the hub from everywhere? Profiles carry it while it does, else the hub's address."""

    state: Literal["published", "waiting", "manual"] = Field(
        description="`published`: it resolves to the hub. `waiting`: the portal publishes it. `manual`: make `records`."
    )
    records: list[NameRecordOut]


def show_public_name(instance: Instance) -> dict[str, Any]:
    """The representation of an instance's public name."""
    records = [{"type": one.type, "value": one.value} for one in wanted_records(instance)]
    return {"state": state_of(instance), "records": records}
