"""Whatever comes back to a question, it neither proves nor breaks anything but the right answer."""

import struct
from ipaddress import ip_address

import dns.message
import dns.rcode
import dns.rrset
from hypothesis import given
from hypothesis import strategies as st

from vpn.drivers.proof.name_query import NameQuery
from vpn.drivers.proof.packets import Way, checksum

HERE, HUB = ip_address("100.64.15.254"), ip_address("100.64.0.1")
NAME, ADDRESS = "office.vpn.example.net", "203.0.113.1"


def query() -> NameQuery:
    return NameQuery(Way(HERE, HUB), NAME, [ADDRESS])


def reply_to(asked: NameQuery, message: bytes) -> bytes:
    """The packet that carries an answer back."""
    source_port = asked.request()[20:22]
    udp = struct.pack(">H", 53) + source_port + struct.pack(">HH", 8 + len(message), 0)
    return Way(HUB, HERE).packet(17, udp + message)


def answer(asked: NameQuery, address: str = ADDRESS, status: int = 0) -> bytes:
    """A right answer."""
    reply = dns.message.make_response(dns.message.from_wire(asked.request()[28:]), recursion_available=True)
    reply.set_rcode(dns.rcode.from_flags(status, 0))
    reply.answer.append(dns.rrset.from_text(f"{NAME}.", 4, "IN", "A", address))
    return reply.to_wire()


def test_the_right_answer_is_recognised() -> None:
    asked = query()
    assert asked.is_reply(reply_to(asked, answer(asked)))


def test_another_address_and_an_error_are_not() -> None:
    asked = query()
    assert not asked.is_reply(reply_to(asked, answer(asked, "203.0.113.2")))
    assert asked.failure("the hub")["said"] == "203.0.113.2"
    assert not asked.is_reply(reply_to(asked, answer(asked, status=5)))
    assert not asked.is_reply(reply_to(asked, answer(query())))


@given(st.binary(max_size=120))
def test_garbage_breaks_nothing(garbage: bytes) -> None:
    asked = query()
    good = answer(asked)
    for message in (garbage, good[:2] + garbage, good[:12] + garbage, good[: len(good) - 14] + garbage):
        asked.is_reply(reply_to(asked, message))
        asked.failure("the hub")
    assert not asked.is_reply(garbage)


@given(st.binary(max_size=64))
def test_a_checksum_makes_the_sum_come_out_even(data: bytes) -> None:
    even = data + bytes(len(data) % 2)
    assert checksum(even + checksum(even)) == b"\0\0"
