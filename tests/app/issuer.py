"""A small OpenID Connect issuer on loopback, as a process of its own: configuration and keys over HTTP, and what a test
tells it to do. Tokens are made here, by the test; the process serves public keys only.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx2 as httpx
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey, RSAKey

AUDIENCE = "phasegap"
Signer = RSAKey | ECKey | OctKey


class Issuer:
    """Starts the process in a folder, whose file `keys.json` it serves as it is at that time."""

    def __init__(self, folder: Path, host: str = "127.0.0.1") -> None:
        self.folder = folder
        command = [sys.executable, "-m", "tests.app.issuer", str(folder), host]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.url = self.process.stdout.readline().strip()
        self.key: Signer = RSAKey.generate_key(2048, {"kid": "first"})
        self.publish(self.key)
        self._asked_before = 0

    def publish(self, *keys: Signer, **more: Any) -> None:
        self.write(
            "keys.json",
            {"keys": [{"alg": _algorithm(key), "use": "sig", **key.as_dict(private=False)} for key in keys], **more},
        )

    def write(self, name: str, content: Any) -> None:
        (self.folder / name).write_text(content if isinstance(content, str) else json.dumps(content))

    def begin_anew(self) -> None:
        """As it was at first, with the same key."""
        (self.folder / "configuration.json").unlink(missing_ok=True)
        self.publish(self.key)
        self._asked_before = self._asked()

    def asked(self) -> int:
        """How often its keys were fetched since it began anew."""
        return self._asked() - self._asked_before

    def _asked(self) -> int:
        return int(httpx.get(f"{self.url}/asked").text)

    def token(self, *roles: str, key: Signer | None = None, header: dict[str, Any] | None = None, **claims: Any) -> str:
        """A token that is good but for what is given. A claim that is None is left out."""
        key, now_s = key or self.key, int(time.time())
        wanted = {
            "iss": self.url, "aud": AUDIENCE, "sub": "ada", "exp": now_s + 300, "iat": now_s, "roles": list(roles),
        } | claims  # fmt: skip
        head = {"alg": _algorithm(key), "kid": key.kid} | (header or {})
        kept = {name: value for name, value in wanted.items() if value is not None}
        return jwt.encode({k: v for k, v in head.items() if v is not None}, kept, key, algorithms=[head["alg"]])

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(10)


def _algorithm(key: Signer) -> str:
    return {"RSA": "RS256", "EC": "ES256", "oct": "HS256"}[key.key_type]


class Handler(BaseHTTPRequestHandler):
    folder = Path()
    asked = 0

    def do_GET(self) -> None:
        special = self.folder / "configuration.json"
        if self.path == "/.well-known/openid-configuration":
            base = f"http://{self.headers['Host']}"
            plain = json.dumps({"issuer": base, "jwks_uri": f"{base}/keys"})
            self.answer(special.read_text() if special.exists() else plain)
        elif self.path == "/keys":
            type(self).asked += 1
            self.answer((self.folder / "keys.json").read_text())
        else:
            self.answer(str(self.asked))

    def answer(self, body: str) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body.encode())))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, format: str, *arguments: Any) -> None:
        pass


def main() -> None:
    Handler.folder = Path(sys.argv[1])
    server = ThreadingHTTPServer((sys.argv[2], 0), Handler)
    print(f"http://{sys.argv[2]}:{server.server_port}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
