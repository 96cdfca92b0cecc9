"""What a file looks like that is no model of a format read here: told by its first bytes, with what to do about it."""

from __future__ import annotations

import re

PICKLE = "a pickle, as joblib and older PyTorch write them, which can run code when it is opened"
PICTURE = "an image"
PAGE = "an HTML page, perhaps the error page of a download"
ARCHIVE = "an archive of another kind: pack the folder as .zip, .tar or .tar.gz"

STARTS = (
    (b"\x80\x02", PICKLE), (b"\x80\x03", PICKLE), (b"\x80\x04", PICKLE), (b"\x80\x05", PICKLE),
    (b"<!doctype", PAGE), (b"<html", PAGE),
    (b"version https://git-lfs", "a Git LFS pointer, not the file itself: run `git lfs pull` first"),
    (b"\x89png", PICTURE), (b"\xff\xd8\xff", PICTURE), (b"gif8", PICTURE),
    (b"\x93numpy", "a NumPy array, perhaps the batch: were the two files swapped?"),
    (b"par1", "a Parquet table, perhaps the batch: were the two files swapped?"),
    (b"{", "JSON: an architecture without weights"),
    (b"gguf", "a GGUF model"),
    (b"7z\xbc\xaf", ARCHIVE), (b"rar!", ARCHIVE), (b"\xfd7zxz", ARCHIVE), (b"bzh", ARCHIVE),
    (b"\x28\xb5\x2f\xfd", ARCHIVE),
    (b"\x1f\x8b", "a gzip file without an archive in it: unpack it first"),
)  # fmt: skip
"""First bytes, in lower case, of what is sent by mistake."""

TFLITE = (b"TFL3", 4)
ONNX_STARTS = (b"\x08\x03", b"\x08\x04", b"\x08\x05", b"\x08\x06", b"\x08\x07", b"\x08\x08", b"\x08\x09", b"\x08\x0a")
"""An ONNX file starts with its version as a protobuf field, 3 to 10 in use."""

SAVED_MODEL = b"\x08\x01\x12"
"""`saved_model.pb` starts with the version of its schema, 1, and its first graph."""

FROZEN = re.compile(rb"\n.{1,2}\n", re.DOTALL)
"""A frozen graph of TensorFlow starts with its first node, which starts with its name."""

TABLE = re.compile(rb"[^\n\0]{1,400}[,;\t][^\n\0]{1,400}\r?\n[^\0]+")


def look(head: bytes) -> str:
    """What a file that begins with `head` looks like, as the object of "looks like"."""
    start = head.lower().lstrip()
    found = next((what for magic, what in STARTS if start.startswith(magic)), None)
    if found is not None:
        return found
    if head[TFLITE[1] : TFLITE[1] + 4] == TFLITE[0]:
        return "a TensorFlow Lite model"
    if head.startswith(ONNX_STARTS):
        return "an ONNX or TensorFlow graph"
    if head[8:10] == b'{"' and int.from_bytes(head[:8], "little") < 1 << 28:
        return "a safetensors file"
    if FROZEN.match(head) or head.startswith(SAVED_MODEL):
        return "a graph of TensorFlow by itself: pack the whole folder of the SavedModel that it is part of"
    if TABLE.match(head):
        return "a table, perhaps the batch: were the two files swapped?"
    return "no model format that is known here"
