"""Put the checkout on its environment's path and write the `phasegap` command, without asking a package index.

What `pip install -e .` would do, minus the build back end that it would have to fetch: the locked set stays the only
thing that is ever downloaded.
"""

from __future__ import annotations

import stat
import sys
import sysconfig
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

COMMAND = """#!{python}
import sys

from app.cli import main

sys.exit(main())
"""


def link() -> None:
    """Write the path file and the console script into the running interpreter's environment."""
    if sys.prefix == sys.base_prefix:
        raise SystemExit("tools/link.py: run it with the environment's own python")
    (Path(sysconfig.get_path("purelib")) / "phasegap.pth").write_text(f"{ROOT}\n")
    script = Path(sysconfig.get_path("scripts")) / "phasegap"
    script.write_text(COMMAND.format(python=sys.executable))
    script.chmod(script.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)


if __name__ == "__main__":
    link()
