"""Spoiling protocol buffers without their schemas: the wire format says where fields begin, not what they mean.

A changed field keeps every length around it right, so that the file still parses and what it says is what is wrong.
"""

from __future__ import annotations

import random

VARINT, FIXED_64, LENGTH, FIXED_32 = 0, 1, 2, 5
Field = tuple[int, int, bytes | int]
"""Number, wire type, value: an integer for VARINT, bytes otherwise."""

NUMBERS = (0, 1, 2, 3, 7, 19, 255, (1 << 31) - 1, (1 << 64) - 1)
DEEPEST = 24


def spoil_wire(content: bytes, draw: random.Random) -> bytes:
    """The message with one field changed, left out, doubled or put elsewhere, at any depth."""
    fields = _parsed(content)
    return content if not fields else _joined(_changed(fields, draw, DEEPEST))


def _changed(fields: list[Field], draw: random.Random, depth: int) -> list[Field]:
    at = draw.randrange(len(fields))
    number, kind, value = fields[at]
    inner = _parsed(value) if isinstance(value, bytes) and kind == LENGTH and depth else None
    if inner and draw.random() < 0.9:
        changed: list[Field] = [(number, kind, _joined(_changed(inner, draw, depth - 1)))]
    elif (what := draw.random()) < 0.15:
        changed = []
    elif what < 0.25:
        changed = [fields[at]] * 2
    elif what < 0.35:
        changed = [(number, *draw.choice(fields)[1:])]
    else:
        changed = [(number, kind, _other(kind, value, draw))]
    return [*fields[:at], *changed, *fields[at + 1 :]]


def _other(kind: int, value: bytes | int, draw: random.Random) -> bytes | int:
    if isinstance(value, int):
        return draw.choice((*NUMBERS, value + 1, max(0, value - 1)))
    if kind != LENGTH:
        return draw.choice((bytes(len(value)), b"\xff" * len(value), draw.randbytes(len(value))))
    return draw.choice((b"", b"x", value[:-1], value + b"1", b"/" + value, b"\xff\xfe", value * 2, b"y" * 3000))


def _parsed(content: bytes) -> list[Field] | None:
    """The fields of a message; None where these bytes are none."""
    fields: list[Field] = []
    at = 0
    try:
        while at < len(content):
            key, at = _varint(content, at)
            number, kind = key >> 3, key & 7
            if not 0 < number < 1 << 20:
                return None
            if kind == VARINT:
                value: bytes | int
                value, at = _varint(content, at)
            else:
                size, at = _varint(content, at) if kind == LENGTH else ({FIXED_64: 8, FIXED_32: 4}[kind], at)
                value, at = content[at : at + size], at + size
                if at > len(content):
                    return None
            fields.append((number, kind, value))
    except (IndexError, KeyError):
        return None
    return fields


def _varint(content: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = content[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
        if shift > 63:
            raise IndexError("no number is that long")


def _joined(fields: list[Field]) -> bytes:
    out = bytearray()
    for number, kind, value in fields:
        out += _number(number << 3 | kind)
        if isinstance(value, int):
            out += _number(value)
        else:
            out += (_number(len(value)) if kind == LENGTH else b"") + value
    return bytes(out)


def _number(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])
