"""What an image file means as RGB."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from features.datasets.image import decode, measure

GRADIENT = np.stack(
    np.broadcast_arrays(
        np.arange(0, 240, 10, dtype=np.uint8)[:, None],
        np.arange(0, 160, 10, dtype=np.uint8)[None, :],
        np.uint8(128),
    ),
    axis=-1,
)


def encoded(image: Image.Image, kind: str, **settings: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **settings)
    return file.getvalue()


@pytest.mark.parametrize(
    ("kind", "settings", "error"),
    [
        ("PNG", {}, 0),
        ("BMP", {}, 0),
        ("WEBP", {"lossless": True}, 0),
        ("JPEG", {"quality": 95}, 12),
        ("JPEG", {"quality": 95, "progressive": True}, 12),
        ("GIF", {}, 40),
    ],
)
def test_each_format_gives_its_pixels(kind: str, settings: dict[str, object], error: int) -> None:
    data = encoded(Image.fromarray(GRADIENT), kind, **settings)
    pixels = decode(data)
    assert pixels.dtype == np.uint8
    assert pixels.shape == (24, 16, 3)
    assert np.abs(pixels.astype(int) - GRADIENT).max() <= error
    assert measure(data) == (24, 16)


@pytest.mark.parametrize("mode", ["L", "1", "LA", "RGBA", "P", "RGB"])
def test_each_png_mode_is_seen_as_rgb(mode: str) -> None:
    image = Image.new("RGB", (5, 3), "white").convert(mode)
    assert (decode(encoded(image, "PNG")) == 255).all()
    image = Image.new("RGB", (5, 3), "black").convert(mode)
    assert (decode(encoded(image, "PNG")) == 0).all()


@pytest.mark.parametrize("mode", ["L", "CMYK", "YCbCr", "RGB"])
def test_each_jpeg_mode_is_seen_as_rgb(mode: str) -> None:
    image = Image.new("RGB", (8, 8), (200, 200, 200)).convert(mode)
    assert np.abs(decode(encoded(image, "JPEG", quality=95)).astype(int) - 200).max() <= 3


@given(st.integers(0, 65535))
def test_sixteen_bit_grey_is_scaled_and_not_clipped(value: int) -> None:
    data = encoded(Image.fromarray(np.full((2, 3), value, np.uint16)), "PNG")
    assert (decode(data) == round(value * 255 / 65535)).all()


def test_what_is_transparent_shows_white() -> None:
    pixels = np.zeros((1, 3, 4), np.uint8)
    pixels[0, :, 3] = (0, 255, 128)
    seen = decode(encoded(Image.fromarray(pixels), "PNG"))[0, :, 0]
    assert seen[0] == 255
    assert seen[1] == 0
    assert abs(int(seen[2]) - 127) <= 1


def test_a_transparent_palette_colour_shows_white() -> None:
    image = Image.new("P", (4, 4), 1)
    image.putpalette([10, 20, 30, 40, 50, 60])
    image.putpixel((0, 0), 0)
    for kind in ("PNG", "GIF"):
        pixels = decode(encoded(image, kind, transparency=0))
        assert pixels[0, 0].tolist() == [255, 255, 255]
        assert pixels[1, 1].tolist() == [40, 50, 60]


def test_the_first_frame_of_an_animation_is_taken() -> None:
    red, blue = Image.new("RGB", (4, 4), "red"), Image.new("RGB", (4, 4), "blue")
    for kind in ("GIF", "WEBP", "PNG"):
        data = encoded(red, kind, save_all=True, append_images=[blue])
        assert np.abs(decode(data)[0, 0].astype(int) - (255, 0, 0)).max() <= 4


# Where the top left pixel of the upright image is stored, by the EXIF standard.
@pytest.mark.parametrize(
    ("orientation", "stored"),
    [
        (1, lambda a: a),
        (2, lambda a: a[:, ::-1]),
        (3, lambda a: a[::-1, ::-1]),
        (4, lambda a: a[::-1]),
        (5, lambda a: a.swapaxes(0, 1)),
        (6, lambda a: np.rot90(a, 1)),
        (7, lambda a: a[::-1, ::-1].swapaxes(0, 1)),
        (8, lambda a: np.rot90(a, -1)),
    ],
)
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_the_camera_orientation_is_undone(orientation: int, stored: object, kind: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    turned = Image.fromarray(np.ascontiguousarray(stored(GRADIENT)))  # type: ignore[operator]
    settings = {"lossless": True} if kind == "WEBP" else {"quality": 95}
    data = encoded(turned, kind, exif=exif, **settings)
    assert measure(data) == (24, 16)
    assert np.abs(decode(data).astype(int) - GRADIENT).max() <= 12


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_malformed_exif_does_not_spoil_a_sound_image() -> None:
    data = encoded(Image.fromarray(GRADIENT), "JPEG", exif=b"Exif\0\0II*\0nonsense")
    assert decode(data).shape == (24, 16, 3)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP", "WEBP", "GIF"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_truncated_file_is_broken(kind: str, share: float) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    data = encoded(Image.fromarray(noise), kind)
    for read in (measure, decode):
        with pytest.raises(ValueError, match=r"\w"):
            read(data[: int(len(data) * share)])


def test_other_files_are_broken_with_a_reason_that_can_be_read() -> None:
    tiff = encoded(Image.new("RGB", (4, 4)), "TIFF")
    for data, reason in ((b"", "empty"), (b"hello", "not a JPEG"), (tiff, "not a JPEG")):
        with pytest.raises(ValueError, match=reason):
            measure(data)


def test_a_decompression_bomb_is_broken() -> None:
    # A few bytes that claim 100,000 x 100,000 pixels.
    data = bytearray(encoded(Image.new("1", (8, 8)), "BMP"))
    data[18:26] = (100_000).to_bytes(4, "little") * 2
    with pytest.raises(ValueError, match="bomb"):
        measure(bytes(data))


@given(st.binary(max_size=200), st.sampled_from(["JPEG", "PNG", "BMP", "GIF", "WEBP"]), st.data())
def test_garbled_bytes_are_broken_or_decode_to_the_measured_size(
    noise: bytes, kind: str, draw: st.DataObject
) -> None:
    sound = encoded(Image.fromarray(GRADIENT), kind)
    at = draw.draw(st.integers(0, len(sound)))
    data = sound[:at] + noise + sound[at + len(noise) :]
    try:
        size = measure(data)
    except ValueError:
        return
    assert decode(data).shape == (*size, 3)
