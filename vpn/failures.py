"""The codes of failures in the portal's own background work.

They are stored as findings (`vpn.wire.finding`), as the agent's refusals are. `vpn.presenters.findings` has the words.
"""

from __future__ import annotations

from typing import Final

from vpn.wire.finding import Code

# The server and its driver.
REGION_WITHOUT_SERVER: Final = Code("portal", "region-without-server")
NO_SERVER: Final = Code("portal", "no-server")
NO_ADDRESS: Final = Code("portal", "no-address")
UNKNOWN_DRIVER: Final = Code("portal", "unknown-driver")  # subject: the driver's name
AGENT_SILENT: Final = Code("portal", "agent-silent")
REPORT_INVALID: Final = Code("portal", "report-invalid")
KNOCK_IMPOSSIBLE: Final = Code("portal", "knock-impossible")  # subject: the type of the error

# Getting a hub to the desired state.
NOT_STARTED: Final = Code("portal", "not-started")
OUT_OF_STEP: Final = Code("portal", "out-of-step")
OTHER_CONFIRMED: Final = Code("portal", "other-confirmed")
CONCURRENT_CHANGE: Final = Code("portal", "concurrent-change")
SECRET_UNREADABLE: Final = Code("portal", "secret-unreadable")  # subject: table and column
