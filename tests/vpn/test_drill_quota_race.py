"""One organization asks for more than it may have, all at the same moment: not one goes beyond the limit.

And one public key is sent twice at the same moment, by every way in.

DRILL=1: 32 threads instead of 6.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from portal.models import Quota

_PROGRAM = "import django; django.setup(); from tests.vpn.quota_race import main; raise SystemExit(main())"


@pytest.mark.django_db(transaction=True)
def test_parallel_additions_stop_at_the_limit(database_url: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM],
        env={**os.environ, "DATABASE_URL": database_url, "DATA_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    told = json.loads(done.stdout)
    print(told)
    found = told["found"]
    assert found.pop("key of two devices by page") == [["added"], ["beside the field"]]
    assert found.pop("key of two devices by API") == [[201], [409, "key-in-use", "public_key"]]
    assert found.pop("key of two peers") == [[200], [409]]
    assert found.pop("key of one peer") == [[200], [200]]
    expected = {"let in": told["room"], "refused": told["threads"] - told["room"], "added": told["room"]}
    assert found == {quota.value: expected for quota in Quota if quota != Quota.API_CALLS} | {
        "devices_per_member": expected
    }
