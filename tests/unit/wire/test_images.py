from __future__ import annotations

import base64
import string
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adaptive_engine.wire.images import MEDIA_TYPES, ImageRefused, data_uri, parse_data_uri, sniff
from image_files import file, uri

CASES = st.sampled_from([str.lower, str.upper, str.title])


@given(st.sampled_from(sorted(MEDIA_TYPES)), st.binary(min_size=1, max_size=200), CASES)
def test_what_is_well_formed_is_read_whatever_its_case(media_type: str, data: bytes, spelled: object) -> None:
    head = spelled(f"data:{media_type};base64,")  # type: ignore[operator]
    encoded = base64.b64encode(data).decode()
    parsed = parse_data_uri(head + encoded)
    assert (parsed.media_type, parsed.encoded, parsed.size) == (media_type, encoded, len(data))


PIECES = st.sampled_from(
    ["data:", "image/png", "IMAGE/JPG", "image/bmp", ";base64", ";", ",", "AAAA", "AA==", "\n", "ä"]
)


@given(st.text(max_size=40) | st.lists(PIECES, max_size=8).map("".join))
def test_any_text_is_read_or_refused(text: str) -> None:
    with suppress(ImageRefused):
        parsed = parse_data_uri(text)
        assert text.endswith(parsed.encoded)
        assert parsed.media_type in MEDIA_TYPES
        assert text[: parsed.start].lower() in {f"data:{kind};base64," for kind in (*MEDIA_TYPES, "image/jpg")}


@given(st.text(string.ascii_letters, min_size=1, max_size=8).filter(lambda name: name.lower() != "data"), st.text())
def test_whatever_has_another_scheme_is_remote(scheme: str, rest: str) -> None:
    with pytest.raises(ImageRefused) as refused:
        parse_data_uri(f"{scheme}:{rest}")
    assert refused.value.code == "remote_images_disabled"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "invalid_image"),
        ("data:", "invalid_image"),
        ("data:image/png;base64", "invalid_image"),
        ("data:image/png,AAAA", "invalid_image"),
        ("data:image/png;base64,", "invalid_image"),
        ("data:image/png;charset=x;base64,AAAA", "invalid_image"),
        ("data:image/png;base64;,AAAA", "invalid_image"),
        ("data:image/png; base64,AAAA", "invalid_image"),
        ("data:image/png;base64,AAA", "invalid_image"),
        ("data:image/png;base64,AAAA\n", "invalid_image"),
        ("data:image/png;base64,AAAA====", "invalid_image"),
        ("data:image/png;base64,====", "invalid_image"),
        ("data:image/png;base64,%41%41", "invalid_image"),
        ("data:" + "x" * 1000 + ";base64,AAAA", "invalid_image"),
        (" data:image/png;base64,AAAA", "invalid_image"),
        ("iVBORw0KGgo=", "invalid_image"),
        ("data:;base64,AAAA", "unsupported_image_type"),
        ("data:text/html;base64,AAAA", "unsupported_image_type"),
        ("data:image/bmp;base64,AAAA", "unsupported_image_type"),
        ("data:image/svg+xml;base64,AAAA", "unsupported_image_type"),
        ("https://example.com/a.png", "remote_images_disabled"),
        ("//example.com/a.png", "remote_images_disabled"),
        ("FILE:///etc/passwd", "remote_images_disabled"),
    ],
)
def test_what_is_refused(text: str, code: str) -> None:
    with pytest.raises(ImageRefused) as refused:
        parse_data_uri(text)
    assert refused.value.code == code


def test_jpg_is_jpeg() -> None:
    assert parse_data_uri("data:image/jpg;base64,AAAA").media_type == "image/jpeg"


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WebP", "GIF"])
def test_files_are_known_by_their_first_bytes(kind: str) -> None:
    data = file(kind=kind)
    assert MEDIA_TYPES[sniff(data) or ""] == kind
    assert data_uri(data) == uri(data, sniff(data) or "")


@given(st.binary(max_size=20))
def test_other_bytes_are_no_picture(data: bytes) -> None:
    if sniff(data) is None:
        with pytest.raises(ValueError, match="JPEG, PNG, WebP, GIF"):
            data_uri(data)


@pytest.mark.parametrize("length", [50, 60, 200])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_line_breaks_are_named(length: int, end: str) -> None:
    lines = base64.encodebytes(bytes(length)).decode().replace("\n", end)
    with pytest.raises(ImageRefused, match="line breaks") as refused:
        parse_data_uri(f"data:image/png;base64,{lines}")
    assert refused.value.code == "invalid_image"
