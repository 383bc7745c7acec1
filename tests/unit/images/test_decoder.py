"""Pictures through the child processes: what comes out of good ones, and what bad ones cost."""

from __future__ import annotations

import io
import os
import signal
import struct
import sys
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image as Pillow

from adaptive_engine.images import Decoded, Decoder, ImageLimits
from adaptive_engine.images.decoder import MAX_FRAMES, DecodeLimits
from adaptive_engine.sandbox import SandboxBusy
from adaptive_engine.types import Image
from adaptive_engine.wire.images import ImageRefused, parse_data_uri, sniff
from image_files import (
    BLUE,
    GREEN,
    RED,
    animated_webp,
    bombs,
    chunk,
    file,
    gif,
    jpeg_head,
    noise,
    padded,
    plain,
    png,
    uri,
)


@pytest.fixture(scope="module")
def decoder() -> Iterator[Decoder]:
    made = Decoder(ImageLimits(), DecodeLimits(processes=1))
    yield made
    made.close()


def decode(decoder: Decoder, data: bytes, media_type: str | None = None) -> Decoded:
    return decoder.decode(parse_data_uri(uri(data, media_type or sniff(data) or "image/png")))


def outcome(decoder: Decoder, data: bytes, media_type: str | None = None) -> Decoded | str:
    """The picture, or the code of the refusal."""
    try:
        return decode(decoder, data, media_type)
    except ImageRefused as refused:
        return refused.code


def refusal(decoder: Decoder, data: bytes, media_type: str | None = None) -> str:
    with pytest.raises(ImageRefused) as refused:
        decode(decoder, data, media_type)
    return refused.value.code


def limited(decoder: Decoder, limits: ImageLimits) -> Decoder:
    """Other limits with the same children."""
    other = Decoder(limits)
    other._pool = decoder._pool
    return other


def colour(image: Image, x: int = 0, y: int = 0) -> tuple[int, ...]:
    at = 3 * (y * image.width + x)
    return tuple(image.pixels[at : at + 3])


def near(found: tuple[int, ...], wanted: tuple[int, ...]) -> bool:
    return all(abs(a - b) < 12 for a, b in zip(found, wanted, strict=True))


def opened(decoded: Decoded) -> Pillow.Image:
    return Pillow.open(io.BytesIO(decoded.file))


@pytest.mark.parametrize(
    ("kind", "options", "stored"),
    [
        ("PNG", {}, "image/png"),
        ("GIF", {}, "image/png"),
        ("WebP", {"lossless": True}, "image/png"),
        ("WebP", {}, "image/jpeg"),
        ("JPEG", {}, "image/jpeg"),
        ("JPEG", {"progressive": True}, "image/jpeg"),
    ],
)
def test_the_four_types(decoder: Decoder, kind: str, options: dict[str, Any], stored: str) -> None:
    made = decode(decoder, file(plain((24, 16), BLUE), kind, **options))
    assert (made.image.width, made.image.height, made.media_type) == (24, 16, stored)
    assert near(colour(made.image, 23, 15), BLUE)
    assert made.image == Image.of(24, 16, made.image.pixels)
    kept = opened(made)
    assert (f"image/{(kept.format or '').lower()}", kept.size, kept.mode) == (stored, (24, 16), "RGB")


def test_the_same_picture_is_the_same_image_in_any_file(decoder: Decoder) -> None:
    drawn = noise(20, 10)
    files = [file(drawn), file(drawn, compress_level=1), file(drawn, "WebP", lossless=True)]
    (first, *others) = [decode(decoder, each) for each in files]
    assert first.image.pixels == drawn.tobytes()
    assert [other.image for other in others] == [first.image, first.image]
    assert [other.file for other in others] == [first.file, first.file]


def test_a_log_would_show_no_pixels(decoder: Decoder) -> None:
    assert len(repr(decode(decoder, file(noise(20, 10))))) < 300


@pytest.mark.parametrize(
    ("picture", "shown"),
    [
        (plain(mode="L", colour=255), (255, 255, 255)),
        (plain(mode="1", colour=1), (255, 255, 255)),
        (plain(mode="I;16", colour=65_535), (255, 255, 255)),
        (plain(mode="I;16", colour=0x8000), (128, 128, 128)),
        (plain(colour=GREEN).quantize(), GREEN),
        (plain(mode="RGBA", colour=(0, 0, 255, 255)), BLUE),
        (plain(mode="RGBA", colour=(0, 0, 0, 0)), (255, 255, 255)),
        (plain(mode="LA", colour=(0, 0)), (255, 255, 255)),
    ],
)
def test_whatever_the_colours_are_it_becomes_rgb_on_white(
    decoder: Decoder, picture: Pillow.Image, shown: tuple[int, ...]
) -> None:
    assert colour(decode(decoder, file(picture)).image) == shown


def test_cmyk(decoder: Decoder) -> None:
    made = decode(decoder, file(plain(mode="CMYK", colour=(0, 255, 255, 0)), "JPEG"))
    assert near(colour(made.image), RED)


def test_a_transparent_colour_of_a_palette(decoder: Decoder) -> None:
    drawn = plain(colour=GREEN).quantize()
    made = decode(decoder, file(drawn, transparency=drawn.getpixel((0, 0))))
    assert colour(made.image) == (255, 255, 255)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_stand_upright_and_keep_no_metadata(decoder: Decoder, orientation: int) -> None:
    drawn = plain((20, 10), GREEN)
    drawn.paste(RED, (0, 0, 8, 4))
    exif = Pillow.Exif()
    exif[0x0112] = orientation
    exif[0x010E] = "secret place"
    data = file(drawn, "JPEG", exif=exif, quality=100, icc_profile=b"secret profile", comment=b"secret comment")
    assert data.count(b"secret") == 3
    made = decode(decoder, data)
    corner = [(0, 0), (0, 0), (19, 0), (19, 9), (0, 9), (0, 0), (9, 0), (9, 19), (0, 19)][orientation]
    assert near(colour(made.image, *corner), RED)
    assert (made.image.width, made.image.height) == ((20, 10) if orientation < 5 else (10, 20))
    assert b"secret" not in made.file
    assert not opened(made).getexif()


def test_damaged_exif_turns_nothing(decoder: Decoder) -> None:
    made = decode(decoder, file(plain((20, 10)), "JPEG", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff" + bytes(20)))
    assert (made.image.width, made.image.height) == (20, 10)


def test_an_interlaced_png(decoder: Decoder) -> None:
    # Of one pixel, in the first of seven passes.
    head = struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 1)
    data = (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0\xff\0\0")) + chunk(b"IEND", b"")
    )
    assert colour(decode(decoder, data).image) == RED


def test_the_first_frame_of_an_animation(decoder: Decoder) -> None:
    others = {"save_all": True, "append_images": [plain(colour=BLUE), plain(colour=GREEN)]}
    for kind in ("GIF", "WebP", "PNG"):
        assert near(colour(decode(decoder, file(plain(), kind, **others)).image), RED), kind


def test_a_thousand_frames_and_one_more(decoder: Decoder) -> None:
    assert colour(decode(decoder, gif(2, 2, MAX_FRAMES)).image) == RED
    assert refusal(decoder, gif(2, 2, MAX_FRAMES + 1)) == "too_many_frames"
    assert refusal(decoder, animated_webp(MAX_FRAMES + 1)) == "too_many_frames"
    many = chunk(b"acTL", struct.pack(">II", MAX_FRAMES + 1, 0))
    assert refusal(decoder, png(2, 2, before=many, data=bytes(6))) == "too_many_frames"


def test_large_pictures_are_scaled_down(decoder: Decoder) -> None:
    limits = ImageLimits(max_edge=64)
    for kind in ("PNG", "JPEG"):
        made = decode(limited(decoder, limits), file(plain((300, 100), GREEN), kind))
        assert (made.image.width, made.image.height) == (64, 21)
        assert near(colour(made.image, 63, 20), GREEN)
    assert decode(decoder, file(plain((5000, 1)))).image.height == 1
    assert ImageLimits().max_edge == 2048


def test_ten_megabytes_and_one_byte_more(decoder: Decoder) -> None:
    assert colour(decode(decoder, padded(10 * 2**20)).image) == RED
    assert refusal(decoder, padded(10 * 2**20 + 1)) == "image_too_large"


def test_25_megapixels_and_a_row_more(decoder: Decoder) -> None:
    small = limited(decoder, ImageLimits(max_pixels=100))
    assert decode(small, file(plain((10, 10)))).image.width == 10
    assert refusal(small, file(plain((10, 11)))) == "image_too_large"
    assert ImageLimits().max_pixels == 25_000_000


@pytest.mark.parametrize("name", bombs())
def test_bombs_are_known_by_their_headers(decoder: Decoder, name: str) -> None:
    decode(decoder, file())
    before, data = resident(decoder), bombs()[name]
    started = time.process_time()
    assert refusal(decoder, data) == "image_too_large"
    assert time.process_time() - started < 0.05
    assert resident(decoder) < before + 20 * 2**20


def test_memory_stays_flat_over_a_hundred_bombs(decoder: Decoder) -> None:
    files = [uri(data, sniff(data) or "") for data in bombs().values()]
    decode(decoder, file())
    child, before = pid(decoder), (resident(decoder), rss(os.getpid()))
    for n in range(104):
        with pytest.raises(ImageRefused):
            decoder.decode(parse_data_uri(files[n % len(files)]))
    assert pid(decoder) == child
    assert resident(decoder) < before[0] + 5 * 2**20
    assert rss(os.getpid()) < before[1] + 5 * 2**20


def pid(decoder: Decoder) -> int:
    (child,) = decoder._pool._children
    return child._process.pid


def resident(decoder: Decoder) -> int:
    return rss(pid(decoder))


def rss(process: int) -> int:
    return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.fixture(scope="module")
def much() -> bytes:
    """100 MiB, compressed."""
    return zlib.compress(bytes(100 << 20))


@pytest.mark.parametrize(("kind", "head"), [(b"zTXt", b"k\0\0"), (b"iTXt", b"k\0\1\0\0\0"), (b"iCCP", b"k\0\0")])
def test_texts_that_unpack_to_much(decoder: Decoder, much: bytes, kind: bytes, head: bytes) -> None:
    data = png(2, 2, before=chunk(kind, head + much), data=bytes(6))
    made = outcome(decoder, data)
    assert made == "invalid_image" or isinstance(made, Decoded)
    assert resident(decoder) < 200 * 2**20


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WebP", "GIF"])
def test_cut_off_anywhere_it_is_refused_or_whole(decoder: Decoder, kind: str) -> None:
    whole = file(noise(40, 30), kind)
    lengths = range(1, len(whole), max(1, len(whole) // 40))
    made = [outcome(decoder, whole[:length], f"image/{kind.lower()}") for length in lengths]
    assert made.count("invalid_image") > 30
    for each in made:
        assert each == "invalid_image" or (
            isinstance(each, Decoded) and (each.image.width, each.image.height) == (40, 30)
        )


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WebP", "GIF"])
def test_a_flipped_byte_anywhere_harms_nobody(decoder: Decoder, kind: str) -> None:
    whole = file(noise(40, 30), kind)
    for at in range(0, len(whole), max(1, len(whole) // 60)):
        damaged = whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :]
        made = outcome(decoder, damaged, f"image/{kind.lower()}")
        assert isinstance(made, Decoded) or made in {"invalid_image", "image_too_large", "too_many_frames"}
    assert colour(decode(decoder, file()).image) == RED


@pytest.mark.parametrize(
    "data",
    [
        b"x",
        bytes(100),
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"\x89PNG\r\n\x1a\n",
        png(0, 0),
        png(10, 0),
        png(1, 1, colour=3, depth=8, data=b"\0\x07"),
        jpeg_head(0, 10),
        gif(0, 0, 0),
        b"\xff\xd8\xff\xd9",
        b"RIFF\x04\0\0\0WEBP",
    ],
    ids=repr,
)
def test_what_is_no_picture(decoder: Decoder, data: bytes) -> None:
    assert refusal(decoder, data) == "invalid_image"


def test_a_wrong_checksum_is_told_without_internals(decoder: Decoder) -> None:
    whole = file()
    checksum = 8 + 4 + 4 + 13
    with pytest.raises(ImageRefused) as refused:
        decode(decoder, whole[:checksum] + bytes(4) + whole[checksum + 4 :])
    assert refused.value.reason == "The PNG file is damaged: what it begins with cannot be read."


def test_a_palette_index_out_of_range(decoder: Decoder) -> None:
    palette = chunk(b"PLTE", bytes(RED))
    made = decode(decoder, png(1, 1, colour=3, before=palette, data=b"\0\x07"))
    assert made.image.width == 1


@pytest.mark.parametrize("claimed", ["image/jpeg", "image/webp", "image/gif"])
def test_a_type_that_lies(decoder: Decoder, claimed: str) -> None:
    with pytest.raises(ImageRefused, match=f"The data is a PNG file, but its data URI says {claimed}") as refused:
        decode(decoder, file(), claimed)
    assert refused.value.code == "invalid_image"


@pytest.mark.parametrize("encoded", ["AA=A", "A-_A", "A\nAA", "AÄ==", "%41%"])
def test_damaged_base64(decoder: Decoder, encoded: str) -> None:
    with pytest.raises(ImageRefused, match="base64") as refused:
        decoder.decode(parse_data_uri(f"data:image/png;base64,{encoded}"))
    assert refused.value.code == "invalid_image"


def test_what_takes_too_long_is_refused_and_the_next_one_works() -> None:
    hasty = Decoder(ImageLimits(), DecodeLimits(cpu_seconds=0.001, processes=1))
    try:
        data = file(noise(600, 600), compress_level=1)
        assert [outcome(hasty, data), outcome(hasty, data)] == ["image_too_large", "image_too_large"]
    finally:
        hasty.close()


def test_what_takes_too_much_memory_is_refused_and_the_next_one_works() -> None:
    small = Decoder(ImageLimits(), DecodeLimits(memory_bytes=60 << 20, processes=1))
    try:
        assert refusal(small, file(plain((3000, 3000)))) == "image_too_large"
        assert colour(decode(small, file()).image) == RED
    finally:
        small.close()


def test_a_decoder_that_crashes_takes_nobody_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    crashing = Decoder(ImageLimits(), DecodeLimits(processes=1))
    program = f"import os; input(); os.kill(os.getpid(), {int(signal.SIGSEGV)})"
    monkeypatch.setattr(crashing._pool, "_command", [sys.executable, "-c", program])
    try:
        assert refusal(crashing, file()) == "invalid_image"
        monkeypatch.undo()
        assert colour(decode(crashing, file()).image) == RED
    finally:
        crashing.close()


def test_who_waits_when_it_closes_is_told() -> None:
    closed = Decoder(ImageLimits(), DecodeLimits(processes=1))
    closed.close()
    with pytest.raises(SandboxBusy):
        decode(closed, file())
