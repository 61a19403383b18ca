"""Keys are what wg(8) would make of them."""

import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vpn import keys

LOW_ORDER_POINTS = [
    bytes(32),
    (1).to_bytes(32, "little"),
    (2**255 - 20).to_bytes(32, "little"),
    (2**255 - 19).to_bytes(32, "little"),
    (2**255 - 18).to_bytes(32, "little"),
    bytes.fromhex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
    bytes.fromhex("5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"),
]


def test_the_public_key_is_the_one_that_wg_prints() -> None:
    for _ in range(5):
        private = keys.generate_private_key()
        printed = subprocess.run(["wg", "pubkey"], input=private, capture_output=True, text=True, check=True).stdout
        assert keys.public_key(private) == printed.strip()


def test_private_keys_are_clamped_and_differ() -> None:
    made = {keys.generate_private_key() for _ in range(50)}
    assert len(made) == 50
    for key in made:
        raw = keys.decode_key(key)
        assert raw[0] & 7 == 0
        assert raw[31] & 192 == 64


def test_preshared_keys_differ_and_are_well_formed() -> None:
    assert keys.generate_preshared_key() != keys.generate_preshared_key()
    assert len(keys.decode_key(keys.generate_preshared_key())) == 32


@given(st.binary(min_size=32, max_size=32))
def test_every_key_survives_encoding(raw: bytes) -> None:
    assert keys.decode_key(keys.encode_key(raw)) == raw


@given(st.text() | st.binary(max_size=40).map(keys.encode_key))
def test_only_the_canonical_form_of_32_bytes_is_a_key(text: str) -> None:
    try:
        raw = keys.decode_key(text)
    except ValueError:
        return
    assert len(raw) == 32
    assert keys.encode_key(raw) == text


def test_stray_bits_white_space_and_missing_padding_are_refused() -> None:
    key = keys.generate_preshared_key()
    stray = key[:-2] + chr(ord(key[-2]) + 1) + "="
    for wrong in (key + "\n", " " + key, key[:-1], stray, key.replace("=", "")):
        with pytest.raises(ValueError, match="44 characters") as refused:
            keys.decode_key(wrong)
        assert key[:20] not in str(refused.value)


@pytest.mark.parametrize("point", LOW_ORDER_POINTS)
def test_points_of_low_order_yield_no_secret(point: bytes) -> None:
    assert not keys.is_contributory(point)


def test_real_public_keys_yield_a_secret() -> None:
    assert keys.is_contributory(keys.decode_key(keys.public_key(keys.generate_private_key())))
