"""Route 53's API on loopback, which moto plays, with one zone."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, Self

from werkzeug.serving import BaseWSGIServer, make_server
from werkzeug.wrappers import Response

KEY: Final = "AKIATEST"
# As secrets of AWS do, it contains characters that a URL has to escape.
_SECRET: Final = "se/cr+et%40"
# libcloud asks in an older version of the API than moto's. The bodies are the same but for their namespace.
_ASKED, _ANSWERED = "2012-02-29", "2013-04-01"
_REFUSAL: Final = (
    f'<ErrorResponse xmlns="https://route53.amazonaws.com/doc/{_ASKED}/">'
    "<Error><Type>Sender</Type><Code>{}</Code><Message>Not now</Message></Error></ErrorResponse>"
)


@dataclass
class Route53:
    """The API, a context manager."""

    zone: str = "vpn.acme.test"
    # The status and the code with which every request is refused; 0 if none is.
    refusal: tuple[int, str] = (0, "")
    _server: BaseWSGIServer | None = None

    def __enter__(self) -> Self:
        from moto.backends import get_backend
        from moto.moto_server.werkzeug_app import create_backend_app

        logging.getLogger("werkzeug").setLevel(logging.WARNING)
        backends: Any = get_backend("route53")
        self._backend: Any = backends["123456789012"]["aws"]
        self._backend.reset()
        self._zone: Any = self._backend.create_hosted_zone(
            f"{self.zone}.", private_zone=False, caller_reference="", vpcid=None, vpcregion=None
        )
        self._app: Any = create_backend_app("route53")
        self._server = make_server("127.0.0.1", 0, self._answer, threaded=True)
        threading.Thread(target=self._server.serve_forever, name="route53", daemon=True).start()
        return self

    def __exit__(self, *exception: object) -> None:
        assert self._server is not None
        self._server.shutdown()
        self._server.server_close()
        self._backend.reset()

    def _answer(self, environ: dict[str, Any], start: Any) -> Iterable[bytes]:
        """A WSGI application."""
        status, code = self.refusal
        if status:
            return Response(_REFUSAL.format(code), status=status, content_type="text/xml")(environ, start)
        for name in ("PATH_INFO", "RAW_URI", "REQUEST_URI"):
            environ[name] = environ[name].replace(_ASKED, _ANSWERED)
        answer = Response.from_app(self._app, environ, buffered=True)
        answer.set_data(answer.get_data().replace(_ANSWERED.encode(), _ASKED.encode()))
        return answer(environ, start)

    @property
    def url(self) -> str:
        """What DNS_URL is for this API."""
        assert self._server is not None
        return f"libcloud+route53://{KEY}:{_SECRET}@127.0.0.1:{self._server.port}/{self.zone}?secure=false"

    def records(self) -> dict[tuple[str, str], tuple[int, list[str]]]:
        """The lifetime and the values of each name and type, without what the zone has from the start."""
        return {
            (record.name.rstrip("."), record.type): (int(record.ttl), sorted(record.records))
            for record in self._zone.rrsets
            if record.type not in {"NS", "SOA"}
        }

    def change(self, name: str, kind: str, *values: str) -> None:
        """Replace the records of a name, as another user of the API may."""
        # Else moto takes a value that the name had before for one that it has.
        journal, former = self._zone.rr_changes, (name, kind)
        journal[:] = [
            one for one in journal if (one["ResourceRecordSet"]["Name"], one["ResourceRecordSet"]["Type"]) != former
        ]
        wanted = {"Name": f"{name}.", "Type": kind, "TTL": 300}
        resource = {**wanted, "ResourceRecords": [{"Value": value} for value in values]}
        self._backend.change_resource_record_sets(self._zone.id, [{"Action": "UPSERT", "ResourceRecordSet": resource}])
