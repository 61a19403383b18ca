"""Single DNS queries to one server, and the faults that its answers mean."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rdatatype
import dns.rrset
import dns.tsig

from vpn import failures
from vpn.publishers.base import NotPublished, Patience

ADDRESS_TYPES: Final = (dns.rdatatype.A, dns.rdatatype.AAAA)


@contextmanager
def faults_of(server: str) -> Iterator[None]:
    """Turn what goes wrong in an exchange with `server` into NotPublished."""
    try:
        yield
    except dns.tsig.PeerBadKey as error:
        raise NotPublished(failures.NAME_KEY_UNKNOWN.of(server)) from error
    except dns.tsig.PeerBadTime as error:
        raise NotPublished(failures.NAME_CLOCK_WRONG.of(server)) from error
    except (dns.tsig.PeerBadSignature, dns.tsig.PeerBadTruncation, dns.tsig.BadSignature) as error:
        raise NotPublished(failures.NAME_KEY_WRONG.of(server)) from error
    except (OSError, EOFError, dns.exception.Timeout) as error:
        # A server that did not answer may have done the update.
        raise NotPublished(failures.NAME_SERVER_SILENT.of(server), perhaps_written=True) from error
    except dns.exception.DNSException as error:
        raise NotPublished(failures.NAME_SERVER_FAILED.of(type(error).__name__)) from error


def ask(query: dns.message.QueryMessage, address: str, port: int, patience: Patience) -> dns.message.Message:
    """Send one query over UDP, and over TCP where the answer is too long. Raises errors of dnspython, and OSError."""
    answer, _ = dns.query.udp_with_fallback(query, address, timeout=patience.timeout, port=port)
    return answer


def records_in(
    answer: dns.message.Message, name: dns.name.Name, kind: dns.rdatatype.RdataType
) -> dns.rrset.RRset | None:
    """The records of a type that the answer has for a name, without following aliases."""
    return next((one for one in answer.answer if one.name == name and one.rdtype == kind), None)


def is_authoritative(answer: dns.message.Message) -> bool:
    """Does the server have the zone, whether or not it has the name?"""
    return bool(answer.flags & dns.flags.AA) and answer.rcode() in {dns.rcode.NOERROR, dns.rcode.NXDOMAIN}
