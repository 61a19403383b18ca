"""Why a knock failed, as a code and its values. It is put into words when a page is shown (`vpn.told`)."""

from __future__ import annotations

Reason = dict[str, object]


def reason(code: str, **values: object) -> Reason:
    """Return a reason: texts, lists of texts, or other reasons by name, to be sent as JSON."""
    return {"code": f"knock-{code}", **values}
