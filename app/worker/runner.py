"""One job from claim to settlement.

The job runs in a scratch folder of its own, named by diagnosis and attempt. What counts is moved to the blob store
*before* the row says so: a reader never finds a report announced that is not there. If the row refuses the ending
(the run was cancelled or overtaken), the run's outputs are dropped.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Protocol, TypeVar

import structlog
from sqlalchemy.exc import SQLAlchemyError

from analyzers.report import Report
from app.blobs.base import REPAIRED, REPORT, Upload
from app.errors import StoreAway
from app.inert import inert_json
from app.jobs.database import is_full_disk
from app.jobs.engine import Run
from app.jobs.outages import is_away, outlast
from app.jobs.states import Claim, Ending
from app.reference import CAUSES, reference
from app.sandbox.host import SandboxUnavailable
from app.sandbox.protocol import GuestDevice, Limits, Outcome, Task
from app.services import Services
from app.settings import Settings
from app.traces import span
from app.worker.care import guest_device
from app.worker.deferral import NO_ROOM, Deferral
from app.worker.devices import Device
from app.worker.slots import Slots
from app.worker.traced import RunTrace, traced_run

PROGRESS_PAUSE_S = 0.25

Result = TypeVar("Result")

log = structlog.get_logger(__name__)


class RunsTasks(Protocol):
    """What is needed of the sandbox here."""

    def run(
        self,
        job_folder: Path,
        task: Task,
        limits: Limits,
        *,
        on_progress: Callable[[str, float, str | None], None],
        should_stop: Callable[[], bool],
    ) -> Outcome: ...


class JobRunner:
    """Runs jobs for one worker. `shutting_down` tells that held jobs are to be let go."""

    def __init__(
        self,
        services: Services,
        sandbox: RunsTasks,
        worker_id: str,
        shutting_down: Callable[[], bool],
        edition: str | None,
        slots: Slots,
        doubt: Callable[[Device], None],
    ) -> None:
        self._services = services
        self._sandbox = sandbox
        self._worker_id = worker_id
        self._shutting_down = shutting_down
        self._edition = edition
        self._slots, self._doubt = slots, doubt
        self._scratch = services.settings.data_dir / "scratch"
        self._deferral = Deferral(services, shutting_down)
        self.held: set[Run] = set()

    def run_job(self, diagnosis_id: str, attempt: int) -> None:
        """Claim a run and see it through. A run that is not wanted any more is skipped."""
        if self._shutting_down():
            return  # it stays with the queue as taken by a worker that is gone, and is given back
        mine = diagnosis_id, attempt
        self.held.add(mine)  # before the claim, so that the upkeep never finds it claimed and not held
        try:
            with self._slots.held(mine) as device:
                if device is None:
                    return  # its slot went to another: the queue will find that this run came to nothing
                away = self._claim_and_run(mine, device)
                if away is not None:  # the job is with the queue again; this slot takes no other
                    self.held.discard(mine)
                    self._deferral.wait_until_mended(away)
        finally:
            self.held.discard(mine)

    def _claim_and_run(self, mine: Run, device: Device) -> StoreAway | None:
        """Run a job that is still wanted; the error where the store did not give or take its files."""
        try:
            claim = self._outlast(lambda: self._services.lifecycle.claim(*mine, self._worker_id))
            if claim is not None:
                with traced_run(claim) as run:
                    self._run_claimed(claim, device, run)
        except StoreAway as error:
            return error
        return None

    def _run_claimed(self, claim: Claim, device: Device, run: RunTrace) -> None:
        folder = self._scratch / f"{claim.id}-{claim.attempt}"
        try:
            outcome = self._execute(claim, folder, device, run)
            with span("settle"):
                self._conclude(claim, folder, outcome, run)
            if outcome.device_fault:
                self._doubt(device)  # after the job has been put back: a check takes its time
        except StoreAway as error:
            self._deferral.put_off(claim, error)
            raise
        except SandboxUnavailable as error:
            log.error("sandbox_unavailable", reason=str(error)[-2000:])
            # Not the job's fault: it gets another run.
            self._outlast(lambda: self._services.lifecycle.lost(claim.id, claim.attempt))
        except Exception as error:
            self._fail(claim, error)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _fail(self, claim: Claim, error: Exception) -> None:
        """A fault of ours ends the job. That the database was away while this worker leaves ends the run alone, which
        is given back like any other whose worker is gone.
        """
        if is_away(error):
            log.warning("run_left_behind", reason=str(error)[:500])
        elif self._outlast(lambda: self._services.lifecycle.holds(claim)):  # else its files were taken away under it
            log.error("job_failed_in_worker", exc_info=error)
            ending = _fault(error)
            self._outlast(lambda: self._services.lifecycle.settle(claim, ending))

    def _outlast(self, action: Callable[[], Result]) -> Result:
        """Wait for a database that is away rather than lose a run for it; it counts or it does not as it finds it."""
        return outlast(action, self._shutting_down)

    def _execute(self, claim: Claim, folder: Path, device: Device, run: RunTrace) -> Outcome:
        self._fill(claim, folder)
        watch = _Watch(self._services, claim, self._shutting_down, run)
        limits = guest_limits(self._services.settings, None if claim.device == "cpu" else guest_device(device))
        outcome = self._sandbox.run(
            folder, _task(claim), limits, on_progress=watch.on_progress, should_stop=watch.should_stop
        )
        run.end(outcome)
        return outcome

    def _fill(self, claim: Claim, folder: Path) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        (folder / "in").mkdir(parents=True, mode=0o700)
        for upload in (
            Upload(claim.model_file, claim.model_bytes, claim.model_sha256),
            Upload(claim.batch_file, claim.batch_bytes, claim.batch_sha256),
        ):
            self._services.blobs.fetch_upload(claim.id, upload, folder / "in" / upload.name)

    def _conclude(self, claim: Claim, folder: Path, outcome: Outcome, run: RunTrace) -> None:
        log.info("run_ended", kind=outcome.kind, code=outcome.code, limit=outcome.limit)
        lifecycle = self._services.lifecycle
        if outcome.kind == "cancelled":
            if self._shutting_down() and lifecycle.let_go(claim):
                log.info("job_let_go")
        elif outcome.kind == "crashed" and outcome.code == "worker_crashed":
            self._outlast(lambda: lifecycle.lost(claim.id, claim.attempt, outcome.detail))
        else:
            self._settle(claim, self._ending(claim, folder, outcome, run))

    def _settle(self, claim: Claim, ending: Ending) -> None:
        blobs = self._services.blobs
        if self._outlast(lambda: self._services.lifecycle.settle(claim, ending)):
            for attempt in range(1, claim.attempt):  # killed between its outputs and its row, or still to be refused
                blobs.remove_attempt(claim.id, attempt)
            return
        blobs.remove_attempt(claim.id, claim.attempt)
        if not self._services.store.known_among([claim.id]):
            blobs.remove(claim.id)

    def _ending(self, claim: Claim, folder: Path, outcome: Outcome, run: RunTrace) -> Ending:
        if outcome.kind != "succeeded":
            return Ending(
                "failed",
                error_code=outcome.code or "internal",
                error_detail=outcome.detail,
                limit=outcome.limit,
                peak_memory_bytes=outcome.peak_memory_bytes,
            )
        report = _completed(claim, folder / "out" / REPORT)
        repaired = folder / outcome.repaired_file if outcome.repaired_file else None
        self._keep(claim, folder, report, repaired)
        seconds = report.timing_s.model_dump()
        run.found(report.verdict, seconds)
        return Ending(
            "succeeded",
            model_name=report.model.name[:200],
            verdict=report.verdict,
            primary_cause=report.primary_cause[:64] if report.primary_cause else None,
            severity=report.severity,
            headline=report.headline[:2000],
            has_repaired_model=repaired is not None,
            stage_seconds=seconds,
            edition=self._edition,
            peak_memory_bytes=outcome.peak_memory_bytes,
        )

    def _keep(self, claim: Claim, folder: Path, report: Report, repaired: Path | None) -> None:
        completed = folder / "report.completed.json"
        completed.write_text(inert_json(report.model_dump_json()), encoding="utf-8")
        if repaired is not None:
            self._services.blobs.put_output(claim.id, claim.attempt, REPAIRED, repaired)
        self._services.blobs.put_output(claim.id, claim.attempt, REPORT, completed)


def guest_limits(settings: Settings, device: GuestDevice | None) -> Limits:
    """What the guest of one job may use up."""
    return Limits(
        memory_bytes=settings.guest_memory_limit_bytes,
        wall_seconds=settings.job_deadline_seconds,
        output_bytes=settings.guest_output_limit_bytes,
        cpu_seconds=settings.guest_cpu_limit_seconds,
        threads=settings.guest_threads,
        device=device,
    )


class _Watch:
    """What the sandbox asks and tells while a run goes on, without asking the database more than is useful."""

    def __init__(self, services: Services, claim: Claim, shutting_down: Callable[[], bool], run: RunTrace) -> None:
        self._services = services
        self._claim = claim
        self._shutting_down = shutting_down
        self._run = run
        self._next_look_s = 0.0
        self._unwanted = False
        self._told = ("", 0.0, 0.0)

    def should_stop(self) -> bool:
        now_s = time.monotonic()
        if not self._unwanted and now_s >= self._next_look_s:
            self._next_look_s = now_s + self._services.settings.cancel_poll_seconds
            with suppress(SQLAlchemyError):  # a database that is away does not make a run unwanted
                self._unwanted = not self._services.lifecycle.holds(self._claim)
        return self._unwanted or self._shutting_down()

    def on_progress(self, stage: str, fraction: float, note: str | None) -> None:
        self._run.note(stage)
        told_stage, told_fraction, told_at_s = self._told
        now_s = time.monotonic()
        if note is None and stage == told_stage and (fraction <= told_fraction or now_s - told_at_s < PROGRESS_PAUSE_S):
            return
        self._told = (stage, fraction, now_s)
        with suppress(SQLAlchemyError):  # nor is a run worth less than a word on how far it is
            self._services.lifecycle.progress(self._claim, stage, fraction, note)


def _task(claim: Claim) -> Task:
    return Task(
        diagnosis_id=claim.id,
        model_file=claim.model_file,
        batch_file=claim.batch_file,
        sha256=(claim.model_sha256, claim.batch_sha256),
        **claim.options,
    )


def _completed(claim: Claim, path: Path) -> Report:
    """The guest's report with what only the worker knows."""
    report = Report.model_validate_json(path.read_bytes())
    report.id = claim.id
    report.model.sha256 = claim.model_sha256
    report.batch.sha256 = claim.batch_sha256
    for cause in report.causes:
        cause.reference = f"{CAUSES}/{cause.code}" if reference().cause(cause.code) else None
    report.timing_s.queue = round(claim.queue_seconds, 6)
    report.timing_s.total = round(report.timing_s.total + claim.queue_seconds, 6)
    return report


def _fault(error: Exception) -> Ending:
    """A fault of ours: named where the operator can mend it, silent about its inside otherwise."""
    if is_full_disk(error):
        return Ending("failed", error_code="insufficient_storage", error_detail=NO_ROOM)
    detail = (
        "Something went wrong in the service while it diagnosed this model. Its operator finds the reason in the log."
    )
    return Ending("failed", error_code="internal", error_detail=detail)
