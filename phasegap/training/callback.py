"""`PhaseGapCheck`: a Keras callback that warns during `fit` that a model will predict differently than it trains.

    model.fit(x, y, epochs=20, callbacks=[PhaseGapCheck(), keras.callbacks.CSVLogger("log.csv")])

It only reads moving statistics, between steps: nothing is run, drawn or assigned, so the training is the same to the
last bit. It hooks the beginnings of steps only, because a callback that hooks their ends keeps Keras from dispatching
ahead.
"""

from __future__ import annotations

import warnings
from collections import deque
from typing import Any

import keras

from phasegap.training.drift import LayerDrift, Reading, Sums, drifts, in_sum, told_by
from phasegap.training.judging import Advice, Judge, Layer, Moment
from phasegap.training.layers import Watched
from phasegap.training.pacing import Pace

STEPS_LOOKED_AT = 16
"""Steps at the end of an epoch whose batches are read: chance is then known to a fifth."""
ENOUGH_STEPS = 8
"""With fewer in one epoch, those of the epochs before are taken in."""
EPOCHS_REMEMBERED = 8
FIRST_LOOK, LOOK_GROWTH = 16, 4
"""Where nobody knows how long an epoch is, its first one is looked at from step 16 on, 64, 256 ..."""
NOT_YET, NEVER = float("nan"), 1 << 62


class PhaseGapWarning(UserWarning):
    """The phases of a model in training have drifted apart."""


class PhaseGapCheck(keras.callbacks.Callback):  # type: ignore[misc] # Keras has no types
    """Warns during `fit` when training and inference drift apart because of batch normalization's statistics.

    Put it before `CSVLogger` and `TensorBoard`, then they log with each epoch: `phase_gap`, how far the worst layer's
    activations at inference lie from those in training, in standard deviations, beyond chance; `phase_gap_noise`, how
    far one batch's mean lies from the mean of all; `phase_gap_cost`, the share of the time that looking took.

    Args:
        budget: the share of the training's time that looking may take. It looks more seldom where it would take more.
        warn: whether to warn by `warnings.warn`. What is said stands in `said` in any case.

    After an epoch `layers` has what was found in each layer by name; `left_out` names the layers that cannot be
    watched, and why.
    """

    def __init__(self, budget: float = 0.02, warn: bool = True) -> None:
        super().__init__()
        if not budget > 0.0:
            raise ValueError(f"`budget` is a share of the training's time and above 0, not {budget!r}.")
        self.budget, self.warn = budget, warn
        self.said: list[Advice] = []
        self.layers: dict[str, LayerDrift] = {}
        self.left_out: dict[str, str] = {}
        self.pace = Pace(budget)
        self._watched: Watched | None = None

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        self.said, self.layers, self.pace = [], {}, Pace(self.budget)
        self._updates = self._epoch_start = 0
        self._steps_an_epoch: int | None = self.params.get("steps")
        self._told: deque[list[Sums]] = deque(maxlen=EPOCHS_REMEMBERED)
        self._figures = {"phase_gap": NOT_YET, "phase_gap_noise": NOT_YET}
        self._advised: Advice | None = None
        with self.pace.counted("start"):
            self._watched = Watched(self.model)
            self.left_out = self._watched.left_out
            if not self._watched.layers:
                self._watched = None
                return
            self._watched.read(0)  # the first one is dearer
        with self.pace.counted("look"):
            start = self._watched.read(0)
            told_by(start, start, self._watched.channels())
        self._names: list[Layer] = self._watched.described(start)
        self._judge = Judge(self._names)

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._epoch_start, self._begun = self._updates, 0
        self._last: Reading | None = None
        self._found: list[Sums] = []
        self._look_from, self._looks_made = self._first_look(), 0

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        self._begun = batch
        if self._watched is not None and batch >= self._look_from:
            self._look(batch)

    def _first_look(self) -> int:
        known = self._steps_an_epoch
        return max(0, known - STEPS_LOOKED_AT) if known else FIRST_LOOK

    def _look(self, batch: int) -> None:
        if self._last is None and not self._may_begin(batch):
            return
        if self._last is not None and self.pace.looks() < 1:  # dearer than it was: what was seen must do
            self._last, self._look_from = None, NEVER
            return
        with self.pace.counted("look"):
            self._read(self._epoch_start + batch)
        if not self._steps_an_epoch and len(self._found) >= STEPS_LOOKED_AT:
            self._told.append(self._found)
            self._found, self._last, self._look_from = [], None, LOOK_GROWTH * self._look_from

    def _may_begin(self, batch: int) -> bool:
        """Whether enough looks can be paid for; where fewer than wanted can, the last steps are looked at."""
        left = self._steps_an_epoch - batch + 1 if self._steps_an_epoch else STEPS_LOOKED_AT + 1
        affordable = self.pace.looks()
        if affordable >= left:
            return True
        if affordable >= 2 and self._steps_an_epoch:
            self._look_from = max(batch + 1, self._steps_an_epoch - affordable + 1)
        return False

    def _read(self, steps: int) -> None:
        assert self._watched is not None
        if self._last is None:
            self._channels = self._watched.channels()  # anew, as a momentum may be changed while training
        reading = self._watched.read(steps)
        if self._last is not None and reading.steps > self._last.steps:
            self._found.append(told_by(self._last, reading, self._channels))
            self._looks_made += 1
        self._last = reading

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if self._watched is None:
            return
        self._updates = self._epoch_start + self._steps_made()
        with self.pace.counted("conclusion"):
            if self._last is not None:
                self._read(self._updates)
            if self._found:
                self._told.append(self._found)
            if self._looks_made:
                self._conclude(epoch, logs or {})
        self._steps_an_epoch = self._steps_an_epoch or self._steps_made()
        if logs is not None:
            logs.update(self._figures, phase_gap_cost=self.pace.cost)

    def _steps_made(self) -> int:
        each = int(getattr(self.model, "steps_per_execution", 1) or 1)
        known, begun = self._steps_an_epoch, self._begun + each
        if known:
            return min(known, begun)
        # Where nobody knew how long it would be, its last step was begun before the data turned out to have ended.
        return begun if self.model.stop_training else self._begun

    def _conclude(self, epoch: int, logs: dict[str, Any]) -> None:
        total = in_sum(self._recent())
        if total is None or total.count < 2:
            return
        found = drifts(total, self._channels)
        self.layers = dict(zip((layer.name for layer in self._names), found, strict=True))
        gaps = [drift.gap for drift in found if drift.significant or drift.gap != drift.gap]
        self._figures = {"phase_gap": max(gaps, default=0.0), "phase_gap_noise": max(d.batch_noise for d in found)}
        self._say(self._judge.judge(found, self._moment(epoch, total.steps / total.count, logs)))

    def _recent(self) -> list[Sums]:
        """The newest steps, of as many epochs as are needed to know what chance does."""
        taken: list[Sums] = []
        for told in reversed(self._told):
            if len(taken) >= ENOUGH_STEPS:
                break
            taken += told
        return taken

    def _moment(self, epoch: int, looked_at: float, logs: dict[str, Any]) -> Moment:
        epochs, steps = self.params.get("epochs"), self._steps_an_epoch
        is_last = bool(self.model.stop_training or (epochs and epoch + 1 >= epochs))
        planned = self._updates + (epochs - epoch - 1) * steps if epochs and steps else None
        return Moment(epoch, self._updates, looked_at, planned, is_last, logs.get("loss"), logs.get("val_loss"))

    def _say(self, advice: Advice | None) -> None:
        if advice is None:
            return
        self.said.append(advice)
        if self.warn:
            warnings.warn(advice.text, PhaseGapWarning, stacklevel=2)
