"""Receiving a submission: multipart straight to disk while hashing and counting; no file is ever held in memory.

The parser calls the targets below with each piece of a part. A target raises the problem as soon as it is certain,
which ends the upload there and then: a file of a kind that is not accepted is refused at its first byte, one that
is too large at the first byte too many.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import uuid
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import IO, Any

from streaming_form_data import ParseFailedException, StreamingFormDataParser
from streaming_form_data.parser import UnexpectedPartException
from streaming_form_data.targets import BaseTarget

from app.api.formats import MAGIC_BYTES, check_magic, display_name, safe_stem, suffix_of
from app.api.options import FIELDS, PLACING_FIELDS, URI_FIELDS, parse_device, parse_options, parse_priority
from app.errors import InvalidRequest, PayloadTooLarge
from app.jobs.needs import DEVICES, HEAD_BYTES, needs_of
from app.jobs.states import Submission
from app.settings import Settings

PIECE_BYTES = 1024 * 1024
"""Parsed, hashed and written at a time: in smaller pieces two threads wait for each other more than they work."""
FRAMING_LIMIT_BYTES = 64 * 1024
KNOWN_FIELDS = (*FIELDS, *PLACING_FIELDS, *URI_FIELDS)
FORMAT_VERSION = "1"
MALFORMED = (ParseFailedException, LookupError, ValueError)
"""What the parser raises on bytes that are no form: its own error, or what it stumbled over."""


class FileTarget(BaseTarget):  # type: ignore[misc]  # the library is not typed
    """One uploaded file on its way to disk."""

    def __init__(self, role: str, folder: Path, limit_bytes: int) -> None:
        super().__init__()
        self.role = role
        self.suffix = ""
        self.user_name = ""
        self.size_bytes = 0
        self.complete = False
        self._folder = folder
        self._limit_bytes = limit_bytes
        self._head = b""
        self._hash = hashlib.sha256()
        self._file: IO[bytes] | None = None

    @property
    def file_name(self) -> str:
        return f"{self.role}{self.suffix}"

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()

    def on_start(self) -> None:
        if self._file is not None:
            raise InvalidRequest(f"The field `{self.role}` is there twice; send one file.")
        if not display_name(str(self.multipart_filename or "")):
            raise InvalidRequest(f"The field `{self.role}` must be a file with a file name.")
        self.begin(str(self.multipart_filename))

    def begin(self, user_name: str) -> None:
        """Take the file of this name in, from the body or from elsewhere."""
        self.user_name = user_name
        self.suffix = suffix_of(self.user_name, self.role)
        self._file = (self._folder / self.file_name).open("xb")

    def on_data_received(self, chunk: bytes) -> None:
        assert self._file is not None
        self.size_bytes += len(chunk)
        if self.size_bytes > self._limit_bytes:
            raise PayloadTooLarge(f"The {self.role} file is larger than the {self._limit_bytes} bytes accepted.")
        if len(self._head) < HEAD_BYTES:
            self._head += chunk[: HEAD_BYTES - len(self._head)]
        self._hash.update(chunk)
        self._file.write(chunk)

    def on_finish(self) -> None:
        assert self._file is not None
        self._file.close()
        self.complete = True

    @property
    def begun(self) -> bool:
        return self._file is not None

    @property
    def head(self) -> bytes:
        return self._head

    def check(self) -> None:
        """Raise unless the whole file is there and begins as it should."""
        if self._file is None:
            raise InvalidRequest(f"The field `{self.role}` is missing: send `model` and `batch`, one file each.")
        if not self.complete:
            raise InvalidRequest(f"The body ended in the middle of the field `{self.role}`.")
        check_magic(self._head[:MAGIC_BYTES], self.size_bytes, self.suffix, self.role)

    def close(self) -> None:
        if self._file is not None:
            self._file.close()


class FieldTarget(BaseTarget):  # type: ignore[misc]
    """One small form field."""

    def __init__(self, name: str, limit_bytes: int) -> None:
        super().__init__()
        self._name = name
        self._limit_bytes = limit_bytes
        self._given = False
        self._value = bytearray()

    def on_start(self) -> None:
        if self._given:
            raise InvalidRequest(f"The field `{self._name}` is there twice.")
        self._given = True

    def on_data_received(self, chunk: bytes) -> None:
        if len(self._value) + len(chunk) > self._limit_bytes:
            raise PayloadTooLarge(f"The field `{self._name}` is larger than {self._limit_bytes} bytes.")
        self._value += chunk

    @property
    def size_bytes(self) -> int:
        return len(self._value)

    def text(self) -> str:
        try:
            return self._value.decode("utf-8")
        except UnicodeDecodeError as error:
            raise InvalidRequest(f"The field `{self._name}` is not UTF-8.") from error


def check_encoding(content_encoding: str) -> None:
    """Raise InvalidRequest where the body is compressed: it is never unpacked here."""
    if content_encoding.strip().lower() not in ("", "identity"):
        raise InvalidRequest("The body is compressed (`Content-Encoding`); send it as it is.")


class Upload:
    """A submission being received into a folder."""

    def __init__(self, settings: Settings, content_type: str, folder: Path, diagnosis_id: str) -> None:
        self._id = diagnosis_id
        self._request_limit_bytes = settings.request_limit_bytes
        self._received_bytes = 0
        self._parsed_bytes = 0
        self._model = FileTarget("model", folder, settings.model_limit_bytes)
        self._batch = FileTarget("batch", folder, settings.batch_limit_bytes)
        self._fields = {name: FieldTarget(name, settings.field_limit_bytes) for name in KNOWN_FIELDS}
        self._parser = make_parser(content_type)
        for target in (self._model, self._batch):
            self._parser.register(target.role, target)
        for name, field in self._fields.items():
            self._parser.register(name, field)

    def feed(self, piece: bytes) -> None:
        """Take the next piece of the body."""
        self._received_bytes += len(piece)
        if self._received_bytes > self._request_limit_bytes:
            raise PayloadTooLarge(f"The body is larger than the {self._request_limit_bytes} bytes that are accepted.")
        self._parse(piece)
        self._check_framing()

    def _parse(self, piece: bytes) -> None:
        self._parsed_bytes += len(piece)
        try:
            self._parser.data_received(piece)
        except UnexpectedPartException as error:
            known = ", ".join(("model", "batch", *KNOWN_FIELDS))
            name = display_name(str(error.part_name))[:60]
            raise InvalidRequest(f"The field {name!r} is not known here. Known fields: {known}.") from error
        except UnicodeDecodeError as error:
            raise InvalidRequest("The name of a field or of a file is not UTF-8.") from error
        except MALFORMED as error:
            raise InvalidRequest("The body is not well-formed multipart/form-data.") from error

    def _check_framing(self) -> None:
        """Bytes that reach no target are part headers."""
        delivered = self._model.size_bytes + self._batch.size_bytes
        delivered += sum(field.size_bytes for field in self._fields.values())
        if self._parsed_bytes - delivered > FRAMING_LIMIT_BYTES:
            raise InvalidRequest("The parts of the multipart body have headers that are too long.")

    def to_fetch(self) -> dict[str, tuple[FileTarget, str]]:
        """What is to be fetched, once the body has ended: by the field's name, where it goes and the URI."""
        targets = {"model": self._model, "batch": self._batch}
        texts = {name: self._fields[name].text().strip() for name in URI_FIELDS}
        wanted = {name: (targets[URI_FIELDS[name]], text) for name, text in texts.items() if text}
        for name, (target, _) in wanted.items():
            if target.begun:
                raise InvalidRequest(f"`{target.role}` and `{name}` are both there; send one of them.")
        return wanted

    def options(self) -> dict[str, Any]:
        return parse_options({name: self._fields[name].text() for name in FIELDS})

    def finish(self) -> Submission:
        """Check what was received once the body has ended."""
        self._model.check()
        self._batch.check()
        options, device = self.options(), parse_device(self._fields["device"].text())
        model, batch = ((file.file_name, file.size_bytes) for file in (self._model, self._batch))
        needs = needs_of(device, model, batch, self._model.head)
        return Submission(
            id=self._id,
            model_stem=safe_stem(self._model.user_name, self._model.suffix),
            model_file=self._model.file_name,
            batch_file=self._batch.file_name,
            model_sha256=self._model.sha256,
            batch_sha256=self._batch.sha256,
            model_bytes=self._model.size_bytes,
            batch_bytes=self._batch.size_bytes,
            options=options,
            content_hash=self._content_hash(options | ({} if device == DEVICES[0] else {"device": device})),
            device=device,
            memory_bytes=needs.memory_bytes,
            queue=needs.place.queue,
            priority=parse_priority(self._fields["priority"].text()),
        )

    def _content_hash(self, options: dict[str, Any]) -> str:
        parts = (FORMAT_VERSION, self._model.suffix, self._model.sha256, self._batch.suffix, self._batch.sha256)
        text = "\n".join((*parts, json.dumps(options, sort_keys=True)))
        return hashlib.sha256(text.encode()).hexdigest()

    def close(self) -> None:
        self._model.close()
        self._batch.close()


def make_parser(content_type: str) -> Any:
    """A strict parser for this content type, or InvalidRequest."""
    try:
        return StreamingFormDataParser({"Content-Type": content_type}, strict=True)
    except (ParseFailedException, ValueError, IndexError, UnicodeError) as error:
        raise InvalidRequest("POST /diagnose takes multipart/form-data with the files `model` and `batch`.") from error


async def in_pieces(stream: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The stream in pieces large enough to be worth a trip to a thread."""
    waiting: list[bytes] = []
    count = 0
    async for chunk in stream:
        waiting.append(chunk)
        count += len(chunk)
        if count >= PIECE_BYTES:
            yield b"".join(waiting)
            waiting, count = [], 0
    if count:
        yield b"".join(waiting)


async def feed_all(take: Callable[[bytes], None], pieces: AsyncIterator[bytes]) -> None:
    """Let each piece be taken, in a thread, while the next one is received. Returns or raises when none is
    being taken any more.
    """
    taking: asyncio.Future[None] | None = None
    try:
        async for piece in pieces:
            if taking is not None:
                await asyncio.shield(taking)
            taking = asyncio.ensure_future(asyncio.to_thread(take, piece))
        if taking is not None:
            await asyncio.shield(taking)
    except BaseException:
        if taking is not None:
            await asyncio.gather(taking, return_exceptions=True)
        raise


def new_diagnosis_id() -> str:
    return uuid.uuid4().hex
