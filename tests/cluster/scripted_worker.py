"""A worker whose guests are processes as in use, and play scripts. Takes the options of `phasegap worker`."""

from __future__ import annotations

import argparse

from app.kin import die_with_parent
from app.logs import configure_logs
from app.sandbox.host import Sandbox
from app.settings import Settings
from app.worker.process import run_worker

ZYGOTE = "tests.cluster.scripted_zygote"


class ScriptedGuests(Sandbox):
    """The sandbox as shipped, but for what its guests do."""

    def _command(self) -> list[str]:
        return [self._python, "-P", "-m", ZYGOTE]


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--parent-pid", type=int, required=True)
    die_with_parent(parser.parse_args().parent_pid)
    settings = Settings()
    configure_logs(settings, "worker")
    folder = settings.data_dir / "scratch"
    run_worker(settings, ScriptedGuests(guest_uid_base=settings.guest_uid_base, folder=folder))
