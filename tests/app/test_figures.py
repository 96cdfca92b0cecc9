"""Figures say and hold what the report says; drawings hold nothing but shapes and text; their process comes back."""

from __future__ import annotations

import csv
import io
import re
import signal
import subprocess
import sys
import time
from typing import Any

import psutil
import pytest

from app.pages.artist import Artist, NoDrawingError
from app.pages.charts import NARROW, WIDE, lower_edge
from app.pages.compared import difference_of
from app.pages.drawing import clean
from app.pages.figures import figures_of
from app.pages.trend_figure import trend_figure
from tests.app.double import canned_report
from tests.app.served import ROOT
from tests.app.test_pages import diagnosis

NAMES = ("a/stem", "a/mid", "=cmd()", "a/head")
SHARES = (0.125, -0.25, 0.5, 0.625)
LOCAL = (16.5, 0.004, "NaN", 0.5)


def report(**changes: Any) -> dict[str, Any]:
    """Four layers, one of them with a name that is a formula and a divergence that is no number."""
    made = canned_report("d1", "net", "a").model_dump(mode="json")
    layer = made["layers"][0]
    channel = {"channel": 7, "kl": 2.0, "significant": True, "stored_mean": 0.25, "batch_mean": 1.5,
               "stored_variance": 1.0, "batch_variance": 0.04}  # fmt: skip
    made["layers"] = [
        layer | {"path": name, "share_of_gap": share, "significant": index != 1, "significant_channels": 3,
                 "divergence": layer["divergence"] | {"kl": kl, "worst_channels": [channel] if index else []}}
        for index, (name, share, kl) in enumerate(zip(NAMES, SHARES, LOCAL, strict=True))
    ]  # fmt: skip
    made["depth"] = [
        {"path": name, "local": kl, "inherited": 0.0, "after_fix": 0.001 * index}
        for index, (name, kl) in enumerate(zip(NAMES, LOCAL, strict=True))
    ]
    made["contest"] = [
        {"code": "input_scaling_mismatch", "explained": 0.25},
        {"code": "bn_statistics_stale", "explained": 0.875},
    ]
    made["phases"]["difference"]["by_mechanism"] = {"batch_statistics": 0.3, "stochastic_layers": 0.1}
    return made | changes


def test_sentences_say_what_the_numbers_say() -> None:
    figures = figures_of(report())
    depth = figures["depth"].sentence
    assert depth.startswith(
        "3 of 4 layers diverge beyond chance. The largest local divergence is 16.5 nats, in `a/stem`"
    )
    assert "(layer 1); the median is 0.5." in depth  # of those that are numbers: 0.004, 0.5, 16.5
    assert "The largest share of the gap, 62.5\u00a0%, is carried by `a/head` (layer 4)" in depth
    assert "the 3 largest carry 125\u00a0% together" in depth  # 0.625 + 0.5 + 0.125
    assert "at most 0.003 nats are left" in depth
    assert figures["mechanisms"].sentence.startswith("The largest part of the difference, 75\u00a0%, comes from batch")
    assert (
        "“statistics stale” predicts 87.5\u00a0% of the divergence; its best rival, “input scaling mismatch”, 25"
        in (figures["contest"].sentence)
    )
    assert "In `a/head` 3 of 4 channels diverge" in figures["channels"].sentence
    assert "stored mean 0.25 and variance 1; the batch has 1.5 and 0.04" in figures["channels"].sentence


def test_explanations_that_predict_nothing_are_drawn_as_nothing() -> None:
    rivals = [{"code": "bn_statistics_stale", "explained": 1e-4}, {"code": "input_scaling_mismatch", "explained": 0.0}]
    contest = figures_of(report(contest=rivals))["contest"]
    assert contest.sentence == "None of the explanations predicts the divergence."
    assert contest.build(WIDE)["encoding"]["x"]["scale"]["domain"] == [0.0, 1.0], "a bar's length is its share of 100 %"


def test_without_a_gap_there_are_no_shares() -> None:
    sentence = figures_of(report(verdict="no_phase_gap"))["depth"].sentence
    assert "share" not in sentence


def test_what_cannot_be_drawn_is_left_out_and_kept_in_the_data() -> None:
    figure = figures_of(report())["depth"]
    points = [point for point in figure.build(WIDE)["vconcat"][0]["data"]["values"] if point["series"] == "local"]
    assert [point["position"] for point in points] == [1, 2, 4]
    assert figure.rows[2]["local"] == "NaN"
    rows = list(csv.DictReader(io.StringIO(figure.csv())))
    assert [row["layer"] for row in rows] == ["a/stem", "a/mid", "'=cmd()", "a/head"]  # no spreadsheet runs it
    assert [row["share_of_gap"] for row in rows] == [str(share) for share in SHARES]


def test_a_layer_is_chosen_by_its_position() -> None:
    made = report()
    assert figures_of(made, 2)["channels"].query == "layer=2"
    for none_there in (None, 0, 1, 99):  # of the first layer the report carries no channel
        assert figures_of(made, none_there)["channels"].query == "layer=4"


def test_every_figure_is_drawn_on_both_widths() -> None:
    for figure in figures_of(report()).values():
        for drawing, width in ((figure.wide, WIDE), (figure.narrow, NARROW)):
            found = re.search(r'width="(\d+)"', drawing)
            assert found
            assert int(found.group(1)) <= width + 10
            assert "NaN" not in drawing
            assert drawing.startswith("<svg")


@pytest.mark.parametrize(
    ("values", "edge"),
    [([1.0, 2.0], None), ([0.0, 0.0], None), ([0.0, 5.0], 2.5), ([1e-9, 1.0], 1e-6), ([0.01, 1.0], 0.005)],
)
def test_where_a_logarithmic_axis_begins(values: list[float], edge: float | None) -> None:
    assert lower_edge(values) == (None if edge is None else pytest.approx(edge))


def test_a_drawing_keeps_shapes_and_text_only() -> None:
    dirty = (
        '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9" onload="hit()"><script>hit()</script>'
        '<a href="javascript:hit()"><path d="M0,0"/></a><image href="http://x/"/><style>*{}</style>'
        '<path d="M1,1" fill="url(http://x)" style="x" stroke="var(--c1)" aria-label="&lt;b&gt; &quot;"/>'
        "<text>&lt;script&gt;</text></svg>"
    )
    kept = clean(dirty, 'a "label" <b>')
    assert kept == (
        '<svg width="9" height="9" class="drawing" role="img" aria-label="a &quot;label&quot; &lt;b&gt;">'
        '<path d="M1,1" stroke="var(--c1)"><title>&lt;b&gt; "</title></path><text>&lt;script&gt;</text></svg>'
    )


def test_the_process_that_draws_comes_back_and_says_what_it_cannot() -> None:
    artist = Artist()
    spec = '{"mark": "bar", "data": {"values": [{"a": 1}]}, "encoding": {"x": {"field": "a", "type": "quantitative"}}}'
    try:
        first = artist.draw(spec)
        with pytest.raises(NoDrawingError, match=r"."):
            artist.draw('{"mark": 7}')
        drawing = artist._running()
        drawing.send_signal(signal.SIGKILL)
        assert artist.draw(spec) == first
        assert drawing.poll() is not None
        drawing = artist._running()
    finally:
        artist.close()
    assert drawing.poll() is not None


def test_the_process_that_draws_goes_with_whom_it_draws_for() -> None:
    program = (
        "import os, signal; from app.pages.artist import Artist; a = Artist(); a._running();"
        "print(a._process.pid, flush=True); os.kill(os.getpid(), signal.SIGKILL)"
    )
    told = subprocess.run([sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
    end_s = time.monotonic() + 30
    while psutil.pid_exists(int(told.stdout)) and psutil.Process(int(told.stdout)).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < end_s
        time.sleep(0.05)


def test_a_comparison_says_what_changed() -> None:
    before, after = report(), report(verdict="no_phase_gap", causes=[])
    after["layers"] = [layer | {"divergence": layer["divergence"] | {"kl": 0.001}} for layer in after["layers"][:3]]
    after["phases"]["inference"]["loss"], before["phases"]["inference"]["loss"] = 0.5, 2.0
    found = difference_of(before, after)
    assert "from “phase gap” to “no phase gap”" in found.sentence
    assert "from 2 to 0.5" in found.sentence
    assert (found.gone, found.staying, found.new) == (["bn_statistics_unconverged"], [], [])
    assert ("loss, inference phase", 2.0, 0.5) in found.figures
    assert [row["layer"] for row in found.layers] == list(NAMES[:3])
    assert [row["share_after"] for row in found.layers] == [None] * 3
    figure = found.figure()
    assert figure is not None
    assert "Of 3 layers in both, 2 diverge less after" in figure.sentence  # one has no number before
    assert "16.5 nats before and is 0.001 after" in figure.sentence


def test_a_comparison_warns_where_it_is_not_fair() -> None:
    before, after = report(), report()
    before["model"]["sha256"] = after["model"]["sha256"] = "a"
    before["batch"]["sha256"], after["batch"]["sha256"] = "b", "c"
    after["model"]["name"] = "other"
    text = " ".join(difference_of(before, after).cautions)
    for part in ("two models: net and other", "the very same model file", "batches are not the same"):
        assert part in text


def test_a_trend_needs_two_and_tells_how_it_went() -> None:
    one = diagnosis(created_at=1.0, verdict="phase_gap"), report()
    assert trend_figure([one]) is None
    other = diagnosis(created_at=2.0, verdict="no_phase_gap"), report()
    figure = trend_figure([one, other])
    assert figure is not None
    assert "Over 2 diagnoses the verdict went from “phase gap” to “no phase gap”" in figure.sentence
    assert [row["gap"] for row in figure.rows] == [0.5, 0.5]
