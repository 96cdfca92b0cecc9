"""A web process alone, beside workers that share its database and data folder: what the `web` image runs.

`phasegap serve` runs a worker too, which needs TensorFlow; this image has none.
"""

from __future__ import annotations

import os
import sys

from app.logs import configure_logs
from app.settings import load_settings
from app.supervisor import listen
from app.web import serve_web


def main() -> int:
    """Answer on HOST and PORT until SIGTERM."""
    settings = load_settings()
    configure_logs(settings, "web")
    return serve_web(settings, listen(os.environ.get("HOST", "127.0.0.1"), int(os.environ.get("PORT", "8000"))))


if __name__ == "__main__":
    sys.exit(main())
