"""The QR code, read back by zbar from the SVG that the page shows."""

import re
import subprocess
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vpn import keys
from vpn.profiles import qr

SVG = "{http://www.w3.org/2000/svg}"
PIXELS = 4


def lines_of(path: ET.Element) -> list[tuple[int, int, int]]:
    """The horizontal lines of a path, one module wide: left, top, right."""
    assert path.attrib.keys() == {"stroke", "d"}
    assert path.attrib["stroke"] == "black"
    found, x, y = [], 0, 0
    for step in re.findall(r"[A-Za-z][^A-Za-z]*", path.attrib["d"]):
        numbers = step[1:].split()
        if step[0] == "M":
            x, y = int(numbers[0]), int(numbers[1].removesuffix(".5"))
            assert numbers[1].endswith(".5")
        elif step[0] == "m":
            assert numbers[1] == "0"
            x += int(numbers[0])
        else:
            assert step[0] == "h"
            found.append((x, y, x + int(numbers[0])))
            x += int(numbers[0])
    return found


def raster(svg: str) -> bytes:
    """Paint the SVG's path, which is made of horizontal lines alone, as a PGM image."""
    root = ET.fromstring(svg)  # noqa: S314 - our own output
    size = int(root.attrib["viewBox"].split()[2])
    path = root.find(f"{SVG}path")
    assert path is not None
    rows = [bytearray(b"\xff" * (size * PIXELS)) for _ in range(size * PIXELS)]
    for left, top, right in lines_of(path):
        for row in rows[top * PIXELS : (top + 1) * PIXELS]:
            row[left * PIXELS : right * PIXELS] = bytes((right - left) * PIXELS)
    return b"P5 %d %d 255\n" % (size * PIXELS, size * PIXELS) + b"".join(rows)


def scanned(svg: str, directory: Path) -> str:
    image = directory / "code.pgm"
    image.write_bytes(raster(svg))
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
    assert scanned(qr.svg(text), tmp_path) == text


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(alphabet=st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=700))
def test_any_ascii_is_scanned_as_it_was(text: str, tmp_path: Path) -> None:
    assert scanned(qr.svg(text), tmp_path) == text


def test_it_is_accessible_and_needs_no_style() -> None:
    root = ET.fromstring(qr.svg("text", title="Profile <of> Ada & Bob"))  # noqa: S314
    assert root.attrib["role"] == "img"
    assert root[0].tag == f"{SVG}title"
    assert root[0].text == "Profile <of> Ada & Bob"
    elements = list(root.iter())
    assert not any("style" in element.attrib or "id" in element.attrib for element in elements)
    assert not any(name.startswith("on") for element in elements for name in element.attrib)


def test_it_has_a_white_ground_and_a_quiet_zone() -> None:
    root = ET.fromstring(qr.svg("text"))  # noqa: S314
    ground, path = root[1], root[2]
    assert (ground.tag, ground.attrib["fill"], ground.attrib["width"]) == (f"{SVG}rect", "white", "100%")
    lines = lines_of(path)
    assert min(left for left, *_ in lines) == 4
    assert min(top for _, top, _ in lines) == 4


@pytest.mark.parametrize("length", [1, 70, 300, 500, 666, 667, 858])
def test_every_module_has_three_pixels_on_the_narrowest_screen(length: int, tmp_path: Path) -> None:
    root = ET.fromstring(qr.svg("x" * length))  # noqa: S314
    modules, pixels = int(root.attrib["viewBox"].split()[2]), int(root.attrib["width"])
    assert pixels % modules == 0
    assert pixels // modules >= 3
    assert 240 <= pixels <= 320
    assert root.attrib["height"] == root.attrib["width"]


def test_the_longest_text_still_fits_and_one_more_byte_is_told(tmp_path: Path) -> None:
    text = "x" * 858
    assert scanned(qr.svg(text), tmp_path) == text
    with pytest.raises(qr.TooLong, match="Download the file"):
        qr.svg(text + "x")
