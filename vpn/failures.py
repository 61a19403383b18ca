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
SERVER_UNREACHABLE: Final = Code("portal", "server-unreachable")
SERVER_NOT_PREPARED: Final = Code("portal", "server-not-prepared")
SERVER_COMPROMISED: Final = Code("portal", "server-compromised")
REPORT_INVALID: Final = Code("portal", "report-invalid")
KNOCK_IMPOSSIBLE: Final = Code("portal", "knock-impossible")  # subject: the type of the error

# A server over SSH, and its preparation.
SERVER_SILENT: Final = Code("portal", "server-silent")  # subject: host and port
HOST_KEY_CHANGED: Final = Code("portal", "host-key-changed")
KEY_NOT_AUTHORISED: Final = Code("portal", "key-not-authorised")  # subject: the account
NO_SUDO: Final = Code("portal", "no-sudo")  # subject: the account
NOT_ROOT: Final = Code("portal", "not-root")
PYTHON_MISSING: Final = Code("portal", "python-missing")
PYTHON_OLD: Final = Code("portal", "python-old")
AGENT_NOT_INSTALLED: Final = Code("portal", "agent-not-installed")
SERVER_DISK_FULL: Final = Code("portal", "server-disk-full")
SERVER_NOT_WRITTEN: Final = Code("portal", "server-not-written")
COMMAND_FAILED: Final = Code("portal", "command-failed")  # subject: the exit status

# Getting a hub to the desired state.
NOT_STARTED: Final = Code("portal", "not-started")
OUT_OF_STEP: Final = Code("portal", "out-of-step")
OTHER_CONFIRMED: Final = Code("portal", "other-confirmed")
CONCURRENT_CHANGE: Final = Code("portal", "concurrent-change")
SECRET_UNREADABLE: Final = Code("portal", "secret-unreadable")  # subject: table and column

# An operation that someone ended before it was done.
MOVE_CANCELLED: Final = Code("portal", "move-cancelled")
CANCELLED_BY_DELETION: Final = Code("portal", "cancelled-by-deletion")
CANCELLATIONS: Final = frozenset({MOVE_CANCELLED.of(), CANCELLED_BY_DELETION.of()})

# The hub's public name. The subject is a server, a name or an address.
NAME_SERVER_SILENT: Final = Code("portal", "name-server-silent")
NAME_SERVER_UNKNOWN: Final = Code("portal", "name-server-unknown")
NAME_KEY_UNKNOWN: Final = Code("portal", "name-key-unknown")
NAME_KEY_WRONG: Final = Code("portal", "name-key-wrong")
NAME_CLOCK_WRONG: Final = Code("portal", "name-clock-wrong")
NAME_UPDATE_REFUSED: Final = Code("portal", "name-update-refused")
NAME_ZONE_MISSING: Final = Code("portal", "name-zone-missing")
NAME_CREDENTIALS_WRONG: Final = Code("portal", "name-credentials-wrong")
NAME_PROVIDER_SILENT: Final = Code("portal", "name-provider-silent")
NAME_PROVIDER_BUSY: Final = Code("portal", "name-provider-busy")
NAME_PROVIDER_REFUSED: Final = Code("portal", "name-provider-refused")
NAME_SERVER_FAILED: Final = Code("portal", "name-server-failed")
NAME_TAKEN: Final = Code("portal", "name-taken")
NAME_NOT_EVERYWHERE: Final = Code("portal", "name-not-everywhere")
NAME_RESOLVER_SILENT: Final = Code("portal", "name-resolver-silent")
NAME_UNRESOLVED: Final = Code("portal", "name-unresolved")
NAME_ELSEWHERE: Final = Code("portal", "name-elsewhere")
NAME_LEFT: Final = Code("portal", "name-left")

# Clouds. The subject is the provider, unless another one is named.
CLOUD_UNKNOWN: Final = Code("portal", "cloud-unknown")
CLOUD_NO_USER_DATA: Final = Code("portal", "cloud-no-user-data")
CLOUD_SETTINGS: Final = Code("portal", "cloud-settings")
CLOUD_CREDENTIALS: Final = Code("portal", "cloud-credentials")
CLOUD_RIGHTS: Final = Code("portal", "cloud-rights")
CLOUD_QUOTA: Final = Code("portal", "cloud-quota")
CLOUD_CAPACITY: Final = Code("portal", "cloud-capacity")  # subject: size and location
CLOUD_IMAGE: Final = Code("portal", "cloud-image")  # subject: the image
CLOUD_SIZE: Final = Code("portal", "cloud-size")  # subject: the size
CLOUD_NETWORK: Final = Code("portal", "cloud-network")  # subject: the network
CLOUD_LOCATION: Final = Code("portal", "cloud-location")  # subject: the location
CLOUD_BUSY: Final = Code("portal", "cloud-busy")
CLOUD_SILENT: Final = Code("portal", "cloud-silent")  # subject: the endpoint or the provider
CLOUD_REFUSED: Final = Code("portal", "cloud-refused")  # subject: the HTTP status
CLOUD_FAILED: Final = Code("portal", "cloud-failed")  # subject: the HTTP status or the type of the error
CLOUD_NODE_GONE: Final = Code("portal", "cloud-node-gone")  # subject: the node
CLOUD_NODE_SILENT: Final = Code("portal", "cloud-node-silent")  # subject: the address
CLOUD_NODE_ENDING: Final = Code("portal", "cloud-node-ending")
