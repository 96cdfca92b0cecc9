"""A small S3 server on loopback, out of memory: what a store of files asks of one, also in the way Google's is asked.

moto, which knows S3 much better, needs an environment of its own; slow tests hold the same store against it.
"""

from __future__ import annotations

import hashlib
import re
import time
import uuid
from dataclasses import dataclass, field
from email.utils import formatdate
from functools import cached_property
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

from tests.app.loopback import Loopback, QuietHandler

BUCKET = "ours"
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "the-secret-key", "AWS_REGION": "us-east-1"}
MOST_LISTED = 1000


@dataclass
class Kept:
    """An object."""

    content: bytes
    modified_s: float = field(default_factory=time.time)

    @cached_property
    def etag(self) -> str:
        return f'"{hashlib.md5(self.content).hexdigest()}"'


class BucketServer(Loopback):
    """One bucket. `objects` by key; `unfinished` are multipart uploads that nobody completed or aborted."""

    def __init__(self, asks_for_keys: bool = True) -> None:
        self.asks_for_keys = asks_for_keys
        self.objects: dict[str, Kept] = {}
        self.unfinished: dict[str, dict[int, bytes]] = {}
        self.asked: list[str] = []
        super().__init__(_handler(self))


def _handler(owner: BucketServer) -> type[BaseHTTPRequestHandler]:
    class Handler(QuietHandler):
        disable_nagle_algorithm = True

        def act(self) -> None:
            parts = urlsplit(self.path)
            _, bucket, *rest = unquote(parts.path).split("/", 2)
            self.key, self.query = "/".join(rest), parse_qs(parts.query, keep_blank_values=True)
            self.body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            owner.asked.append(f"{self.command} {self.path}")
            if bucket != BUCKET:
                return self.fail(404, "NoSuchBucket")
            known = "AWS4-HMAC-SHA256 Credential=a/" in self.headers.get("Authorization", "")
            if owner.asks_for_keys and not known:
                return self.fail(403, "AccessDenied")
            getattr(self, f"on_{self.command.lower()}")()

        do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = act

        def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
            self.send_response(status)
            headers = {"Content-Length": str(len(body))} | headers
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def fail(self, status: int, code: str) -> None:
            self.answer(status, f"<Error><Code>{code}</Code></Error>".encode(), Content_Type="application/xml")

        def on_get(self) -> None:
            return self.on_list() if not self.key else self.on_object()

        on_head = on_get

        def on_object(self) -> None:
            kept = owner.objects.get(self.key)
            if kept is None:
                return self.fail(404, "NoSuchKey")
            if self.headers.get("If-Match", kept.etag) != kept.etag:
                return self.fail(412, "PreconditionFailed")
            about = {"ETag": kept.etag, "Last_Modified": formatdate(kept.modified_s, usegmt=True)}
            asked = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
            if asked is None:
                return self.answer(200, kept.content, **about)
            start, end = int(asked[1]), min(int(asked[2]) + 1, len(kept.content))
            if start >= end:
                return self.fail(416, "InvalidRange")
            about["Content_Range"] = f"bytes {start}-{end - 1}/{len(kept.content)}"
            self.answer(206, kept.content[start:end], **about)

        def on_list(self) -> None:
            prefix, after = self.query["prefix"][0], self.query.get("continuation-token", [""])[0]
            keys = [key for key in sorted(owner.objects) if key.startswith(prefix) and key > after]
            page, more = keys[:MOST_LISTED], len(keys) > MOST_LISTED
            items = "".join(_item(key, owner.objects[key]) for key in page)
            token = f"<NextContinuationToken>{escape(page[-1])}</NextContinuationToken>" if more else ""
            head = f"<IsTruncated>{str(more).lower()}</IsTruncated><KeyCount>{len(page)}</KeyCount>"
            self.answer(200, f"<ListBucketResult>{head}{token}{items}</ListBucketResult>".encode())

        def on_put(self) -> None:
            if source := self.headers.get("x-amz-copy-source", self.headers.get("x-goog-copy-source")):
                found = owner.objects.get(unquote(source).lstrip("/").removeprefix(f"{BUCKET}/"))
                if found is None:
                    return self.fail(404, "NoSuchKey")
                owner.objects[self.key] = Kept(found.content)
                return self.answer(200, b"<CopyObjectResult></CopyObjectResult>")
            kept = Kept(self.body)
            if "partNumber" in self.query:
                parts = owner.unfinished.get(self.query["uploadId"][0])
                if parts is None:
                    return self.fail(404, "NoSuchUpload")
                parts[int(self.query["partNumber"][0])] = self.body
            else:
                owner.objects[self.key] = kept
            self.answer(200, ETag=kept.etag)

        def on_post(self) -> None:
            if "uploads" in self.query:
                name = uuid.uuid4().hex
                owner.unfinished[name] = {}
                text = f"<InitiateMultipartUploadResult><UploadId>{name}</UploadId></InitiateMultipartUploadResult>"
                return self.answer(200, text.encode())
            if "delete" in self.query:
                for key in re.findall(r"<Key>(.*?)</Key>", self.body.decode()):
                    owner.objects.pop(key, None)
                return self.answer(200, b"<DeleteResult></DeleteResult>")
            parts = owner.unfinished.pop(self.query["uploadId"][0], None)
            if parts is None:
                return self.fail(404, "NoSuchUpload")
            kept = owner.objects[self.key] = Kept(b"".join(parts[number] for number in sorted(parts)))
            result = f"<CompleteMultipartUploadResult><ETag>{kept.etag}</ETag></CompleteMultipartUploadResult>"
            self.answer(200, result.encode())

        def on_delete(self) -> None:
            if "uploadId" in self.query:
                owner.unfinished.pop(self.query["uploadId"][0], None)
            else:
                owner.objects.pop(self.key, None)
            self.answer(204)

    return Handler


def _item(key: str, kept: Kept) -> str:
    modified = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(kept.modified_s))
    about = f"<LastModified>{modified}</LastModified><ETag>{escape(kept.etag)}</ETag><Size>{len(kept.content)}</Size>"
    return f"<Contents><Key>{escape(key)}</Key>{about}<StorageClass>STANDARD</StorageClass></Contents>"
