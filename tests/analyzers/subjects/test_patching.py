"""Copies with a few other bytes, held against copies made in memory."""

from __future__ import annotations

import random
import zipfile
import zlib
from pathlib import Path

import pytest

from analyzers.subjects import patching
from analyzers.subjects.patching import Span, checksum_places, is_copy, write_copy
from analyzers.subjects.rewriting import copy_archive_with


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patching, "BLOCK_BYTES", 64)


def with_spans(content: bytes, spans: list[Span]) -> bytes:
    for offset, new in spans:
        content = content[:offset] + new + content[offset + len(new) :]
    return content


@pytest.mark.parametrize("seed", range(20))
def test_a_copy_is_the_file_with_the_spans_in_it(seed: int, tmp_path: Path) -> None:
    draw = random.Random(seed)
    content = draw.randbytes(draw.choice((1, 63, 64, 65, 1000)))
    starts = range(0, len(content), 150)
    spans = [Span(s, draw.randbytes(draw.randint(1, min(149, len(content) - s)))) for s in starts]
    first = draw.randrange(len(content))
    checked = range(first, draw.randint(first, len(content)))
    source, copy = tmp_path / "source", tmp_path / "copy"
    source.write_bytes(content)
    crc = write_copy(source, copy, spans, checked)
    assert copy.read_bytes() == with_spans(content, spans)
    assert crc == zlib.crc32(copy.read_bytes()[checked.start : checked.stop])
    assert is_copy(source, copy, spans)


@pytest.mark.parametrize("spoil", [lambda c: c[:-1], lambda c: c + b"x", lambda c: c[:70] + b"?" + c[71:]])
def test_any_other_byte_is_seen(spoil, tmp_path: Path) -> None:
    source, copy = tmp_path / "source", tmp_path / "copy"
    source.write_bytes(bytes(200))
    write_copy(source, copy, [Span(10, b"abc")])
    copy.write_bytes(spoil(copy.read_bytes()))
    assert not is_copy(source, copy, [Span(10, b"abc")])


def archive(path: Path, compressed: bool = False, comment: bytes = b"") -> Path:
    kind = zipfile.ZIP_DEFLATED if compressed else zipfile.ZIP_STORED
    with zipfile.ZipFile(path, "w", kind) as made:
        made.comment = comment
        made.writestr("config.json", "{}")
        made.writestr("weights", bytes(range(256)))
        made.writestr("last", "more")
    return path


@pytest.mark.parametrize("comment", [b"", b"a comment"])
def test_a_member_is_changed_in_its_place_with_its_checksum(comment: bytes, tmp_path: Path) -> None:
    source, copy = archive(tmp_path / "source.zip", comment=comment), tmp_path / "copy.zip"
    assert copy_archive_with(source, copy, "weights", [Span(100, b"other")])
    with zipfile.ZipFile(copy) as changed:
        assert changed.testzip() is None
        assert changed.read("weights") == with_spans(bytes(range(256)), [Span(100, b"other")])
        assert (changed.read("config.json"), changed.read("last"), changed.comment) == (b"{}", b"more", comment)
    differing = [i for i, (a, b) in enumerate(zip(source.read_bytes(), copy.read_bytes(), strict=True)) if a != b]
    assert len(differing) <= 5 + 2 * 4


def test_compressed_and_streamed_members_are_not_changed_in_place(tmp_path: Path) -> None:
    assert not copy_archive_with(archive(tmp_path / "a.zip", compressed=True), tmp_path / "b.zip", "weights", [])
    with zipfile.ZipFile(archive(tmp_path / "c.zip")) as opened:
        info = opened.getinfo("weights")
        info.flag_bits |= patching.CHECKSUM_FOLLOWS
        assert checksum_places(opened, info) is None
