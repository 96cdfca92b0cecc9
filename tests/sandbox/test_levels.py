"""What stands is found out, reported and required: as root, as nobody in particular, and with walls taken away."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.sandbox.host import IsolationTooWeak, SandboxUnavailable
from app.sandbox.isolation import CALLS, FILES, NETWORK, USER, VIEW, Findings
from tests.sandbox import escapes

ROOT = Path(__file__).resolve().parents[2]
NOBODY = 65534
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
INNER_WALLS = {"wall_in_files": FILES, "wall_in_calls": CALLS}
OUTER_STEPS = ("hand_over", "own_user", "own_view", "own_network")
OUTER_WALLS = {"own_user": USER, "own_view": VIEW, "own_network": NETWORK}


def headline(run) -> list[str]:
    (run.folder.parent / "canary").write_text("secret")
    assert run().kind == "succeeded", (run.outcome, (run.folder / "out" / "guest.log").read_text())
    return json.loads(json.loads((run.folder / "out" / "report.json").read_text())["headline"])


def test_levels_follow_from_what_holds():
    inner = [f"{FILES} 7", CALLS]
    assert Findings(held=[*inner, USER, VIEW, NETWORK], escaped=[]).level == "full"
    assert Findings(held=[*inner, USER, VIEW], escaped=["see the network"]).level == "inner"
    assert Findings(held=[FILES, USER, VIEW, NETWORK], escaped=["open a socket"]).level == "none"
    reduced = Findings(held=[f"{FILES} 7"], escaped=["open a socket"])
    assert str(reduced) == "reduced (a guest can open a socket): landlock 7"
    assert reduced.broken() == []
    assert Findings(held=inner, escaped=["read outside"]).broken() == [FILES]


@pytest.mark.parametrize("step", INNER_WALLS)
def test_without_an_inner_wall_it_refuses_to_start_unless_told(start, step):
    with pytest.raises(IsolationTooWeak) as refusal:
        start(without=[step])
    assert f"missing here: {INNER_WALLS[step]}" in str(refusal.value)
    assert "PHASEGAP_ISOLATION_REQUIRED=none to serve" in str(refusal.value)
    assert start(without=[step], isolation_required="none").isolation.startswith("reduced")


@as_root
@pytest.mark.parametrize("step", OUTER_WALLS)
def test_without_an_outer_wall_it_is_not_full(start, step):
    steps = [step, "hand_over"] if step == "own_user" else [step]
    with pytest.raises(IsolationTooWeak, match=f"=full asks for: missing here: .*{OUTER_WALLS[step]}"):
        start(without=steps, isolation_required="full")


@as_root
@pytest.mark.parametrize("step", [*INNER_WALLS, "own_view", "own_network"])
def test_a_wall_that_does_not_hold_is_never_accepted(start, step):
    alone = [other for other in (*INNER_WALLS, *OUTER_STEPS) if other != step]
    with pytest.raises(SandboxUnavailable, match="does not hold: a guest can"):
        start(pretended=[step], without=alone, isolation_required="none")


@as_root
@pytest.mark.parametrize("step", INNER_WALLS)
def test_attempts_do_succeed_without_their_wall(start, prepare_in, step):
    """An attempt that fails for another reason would prove nothing."""
    sandbox = start(without=[step, *OUTER_STEPS], isolation_required="none")
    run = prepare_in(sandbox, f"tries_without_{step}")
    neighbour = run.folder.parent / "neighbour" / "in"
    neighbour.mkdir(parents=True)
    (neighbour / "model.keras").write_text("secret")
    assert headline(run) == list(escapes.CONTROL[step])


@as_root
def test_root_gives_its_guests_a_user_and_a_view_of_their_own(bare, prepare_in):
    assert bare.isolation.startswith("full: ")
    run = prepare_in(bare, "looks_out")
    assert headline(run) == []
    log = (run.folder / "out" / "guest.log").stat()
    upload = (run.folder / "in" / "model.keras").stat()
    assert log.st_uid == log.st_gid == 60800
    assert (upload.st_uid, upload.st_gid) == (0, 0)
    assert stat.S_IMODE(run.folder.stat().st_mode) == 0o750


@as_root
def test_a_private_upload_can_be_read_and_keeps_its_owner(bare, prepare_in, tmp_path):
    blob = tmp_path / "blob"
    blob.write_text("model")
    blob.chmod(0o600)
    run = prepare_in(bare, "reads_its_upload")
    (run.folder / "in").mkdir(parents=True)
    os.link(blob, run.folder / "in" / "linked")
    assert headline(run) == ["model"]
    assert (blob.stat().st_uid, blob.stat().st_gid, blob.read_text()) == (0, 0, "model")


@as_root
def test_a_repaired_model_belongs_to_the_service(bare, prepare_in):
    run = prepare_in(bare, "good_with_repair")
    outcome = run()
    assert (run.folder / str(outcome.repaired_file)).stat().st_uid == 0


def test_a_guest_with_less_than_the_first_one_touches_nothing(start, prepare_in):
    sandbox = start()
    (parent,) = sandbox._parents.values()
    parent.promised += ("a moat",)
    run = prepare_in(sandbox, "good")
    assert run().code == "worker_crashed"
    assert "not held this time: a moat" in (run.folder / "out" / "guest.log").read_text()


@pytest.fixture(scope="module")
def python_for_all(tmp_path_factory: pytest.TempPathFactory) -> str:
    """An interpreter that another user can start: this one, or the system's with the same packages."""
    closed = [folder for folder in Path(sys.base_prefix, "x").parents if not folder.stat().st_mode & stat.S_IXOTH]
    if not closed:
        return sys.executable
    own = f"/usr/bin/python{sys.version_info.major}.{sys.version_info.minor}"
    if not os.path.exists(own):
        pytest.skip("no interpreter that another user could start")
    home = tmp_path_factory.mktemp("python")
    subprocess.run([own, "-m", "venv", "--without-pip", home], check=True)
    packages = next(home.glob("lib/*/site-packages"))
    (packages / "same.pth").write_text("\n".join(path for path in sys.path if path.endswith("-packages")))
    _open_the_way(home)
    return str(home / "bin" / "python")


def _open_the_way(folder: Path) -> None:
    for path in (folder, *folder.parents):
        if path.stat().st_uid == os.geteuid() and not path.stat().st_mode & stat.S_IXOTH:
            path.chmod(path.stat().st_mode | stat.S_IXOTH)


@pytest.fixture
def as_nobody(python_for_all: str, tmp_path: Path) -> Iterator[object]:
    """Run payloads in a sandbox of a service without any privilege."""
    home = tmp_path / "home"
    home.mkdir()
    os.chown(home, NOBODY, NOBODY)
    (tmp_path / "home" / "canary").write_text("secret")
    _open_the_way(home)

    def run(*arguments: str) -> dict[str, str]:
        done = subprocess.run(
            [python_for_all, "-m", "tests.sandbox.unprivileged", str(home), *arguments],
            user=NOBODY, group=NOBODY, extra_groups=[], cwd=ROOT, capture_output=True, text=True, check=False,
            env={"PYTHONDONTWRITEBYTECODE": "1", "TMPDIR": str(home)},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


@as_root
def test_without_any_privilege_the_inner_walls_stand(as_nobody):
    said = as_nobody("bare", "tries_to_escape", "looks_out", "looks_around")
    assert said["isolation"].startswith("inner (a guest can see files outside, see other processes")
    for words in ("landlock", "seccomp", "resource limits", "no privileges", "not traceable"):
        assert words in said["isolation"]
    assert json.loads(said["tries_to_escape"]) == []
    # Not promised at this level, and told in the level's own words.
    assert json.loads(said["looks_out"]) == list(escapes.OUTER)
    assert json.loads(said["looks_around"])["uid"] == NOBODY


@as_root
@pytest.mark.slow
def test_without_any_privilege_tensorflow_runs(as_nobody):
    said = as_nobody("whole", "computes", "works_hard", "tries_to_escape")
    assert said["isolation"].startswith("inner ")
    assert json.loads(said["tries_to_escape"]) == []
