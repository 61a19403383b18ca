"""The QR code, read back by zbar from the image that the page shows."""

import struct
import subprocess
import zlib
from base64 import b64decode
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vpn import keys
from vpn.profiles import qr

PIXELS = 4


class Image(HTMLParser):
    """The attributes of the one <img> element, and its rows of pixels from the top: true for black."""

    def __init__(self, element: str) -> None:
        super().__init__()
        self.attributes: dict[str, str | None] = {}
        self.feed(element)
        kind, _, data = (self.attributes["src"] or "").partition(",")
        assert kind == "data:image/png;base64"
        self.rows = pixels_of(b64decode(data, validate=True))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert (tag, self.attributes) == ("img", {})
        self.attributes = dict(attrs)


def pixels_of(png: bytes) -> list[list[bool]]:
    """The rows of a greyscale PNG image with one bit for each pixel: true for black."""
    chunks, at = {}, 8
    while at < len(png):
        length, kind = struct.unpack_from(">I4s", png, at)
        chunks[kind] = png[at + 8 : at + 8 + length]
        at += 12 + length
    width, height, *manner = struct.unpack(">IIBBBBB", chunks[b"IHDR"])
    assert manner == [1, 0, 0, 0, 0]
    data, line = zlib.decompress(chunks[b"IDAT"]), 1 + (width + 7) // 8
    rows = [data[number * line : (number + 1) * line] for number in range(height)]
    assert not any(row[0] for row in rows), "filtered"
    return [[not row[1 + x // 8] & 0x80 >> x % 8 for x in range(width)] for row in rows]


def raster(element: str) -> bytes:
    """Paint the element's image as a PGM image with several pixels for each module."""
    rows = Image(element).rows
    lines = [b"".join((b"\0" if is_dark else b"\xff") * PIXELS for is_dark in row) * PIXELS for row in rows]
    return b"P5 %d %d 255\n" % (len(rows) * PIXELS, len(rows) * PIXELS) + b"".join(lines)


def scanned(element: str, directory: Path) -> str:
    image = directory / "code.pgm"
    image.write_bytes(raster(element))
    command = ["zbarimg", "--quiet", "--raw", "-Sdisable", "-Sqrcode.enable", str(image)]
    read = subprocess.run(command, capture_output=True, check=True).stdout.decode()
    assert read.endswith("\n")  # zbarimg ends each symbol with a line feed of its own
    return read[:-1]


def profile(routes: int) -> str:
    allowed = ", ".join(f"10.{number}.0.0/16" for number in range(routes))
    return (
        "# Ada's laptop\n[Interface]\n"
        f"PrivateKey = {keys.generate_private_key()}\nAddress = 100.64.0.2/32, fd12:3456:789a::2/128\n"
        "DNS = 9.9.9.9, 149.112.112.112\nMTU = 1420\n\n[Peer]\n"
        f"PublicKey = {keys.generate_preshared_key()}\nPresharedKey = {keys.generate_preshared_key()}\n"
        f"AllowedIPs = {allowed}\nEndpoint = [2001:db8::1]:20000\nPersistentKeepalive = 25\n"
    )


@pytest.mark.parametrize("routes", [1, 5, 20, 30])
def test_a_profile_is_scanned_as_exactly_the_file(routes: int, tmp_path: Path) -> None:
    text = profile(routes)
    assert scanned(qr.image(text), tmp_path) == text


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(alphabet=st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=700))
def test_any_ascii_is_scanned_as_it_was(text: str, tmp_path: Path) -> None:
    assert scanned(qr.image(text), tmp_path) == text


def test_it_is_accessible_and_needs_no_style() -> None:
    attributes = Image(qr.image("text", title='Profile <of> Ada & "Bob"')).attributes
    assert attributes["alt"] == 'Profile <of> Ada & "Bob"'
    assert attributes.keys() == {"class", "alt", "width", "height", "src"}


def test_it_has_a_white_quiet_zone() -> None:
    rows = Image(qr.image("text")).rows
    for turned in (rows, rows[::-1], list(zip(*rows, strict=True)), list(zip(*rows, strict=True))[::-1]):
        assert not any(any(row) for row in turned[:4])
        assert any(turned[4])


def test_the_largest_code_takes_little_of_the_page() -> None:
    assert len(qr.image("x" * 858)) < 2_100


@pytest.mark.parametrize("length", [1, 70, 300, 500, 666, 667, 858])
def test_every_module_has_three_pixels_on_the_narrowest_screen(length: int, tmp_path: Path) -> None:
    image = Image(qr.image("x" * length))
    modules, pixels = len(image.rows), int(image.attributes["width"] or 0)
    assert pixels % modules == 0
    assert pixels // modules >= 3
    assert 240 <= pixels <= 320
    assert image.attributes["height"] == image.attributes["width"]


def test_the_longest_text_still_fits_and_one_more_byte_is_told(tmp_path: Path) -> None:
    text = "x" * 858
    assert scanned(qr.image(text), tmp_path) == text
    with pytest.raises(qr.TooLong, match="Download the file"):
        qr.image(text + "x")
