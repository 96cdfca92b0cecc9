"""moto, a server that knows S3 well, on loopback in an environment of its own; and what it holds, asked directly."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2 as httpx

from tests.app.bucket_served import BUCKET, CREDENTIALS
from tests.app.foreign import environment, running

MAKE = "import sys, boto3; boto3.client('s3', endpoint_url=sys.argv[1]).create_bucket(Bucket=sys.argv[2])"


@contextmanager
def moto_served(folder: Path) -> Iterator[str]:
    """A server with one empty bucket; gives its address."""
    python = environment(folder / "env", "moto[s3]>=5.2", "flask", "flask-cors")
    command = [str(python), "-m", "moto.server", "-H", "127.0.0.1", "-p", "{port}"]
    with running(command, folder / "run", "/moto-api/") as url:
        keys = os.environ | CREDENTIALS | {"AWS_DEFAULT_REGION": "us-east-1"}
        subprocess.run([str(python), "-c", MAKE, url, BUCKET], check=True, env=keys)
        yield url


def keys_in(url: str) -> list[str]:
    """All keys of the bucket."""
    found: list[str] = []
    more: dict[str, str] = {}
    while True:
        answer = httpx.get(f"{url}/{BUCKET}", params={"list-type": "2", **more}).text
        found += re.findall(r"<Key>(.*?)</Key>", answer)
        token = re.search(r"<NextContinuationToken>(.*?)<", answer)
        if token is None:
            return found
        more = {"continuation-token": token[1]}


def unfinished_in(url: str) -> int:
    """Multipart uploads that nobody completed or aborted."""
    return httpx.get(f"{url}/{BUCKET}", params={"uploads": ""}).text.count("<UploadId>")
