"""The notebook tells its story to the end against a real service: quickly with a small network, slowly with its own."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from examples.client import Server as RoomyServer
from tests.app.served import Server

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
NOTEBOOK = EXAMPLES / "founding_story.ipynb"

SMALL = """
import keras

def build(momentum):
    keras.utils.set_random_seed(3)
    layers = [keras.Input((64, 64, 3))]
    for i, width in enumerate((16, 32, 64)):
        layers.append(keras.layers.Conv2D(width, 3, strides=2, padding="same", name=f"conv_{i}"))
        layers.append(keras.layers.BatchNormalization(momentum=momentum, name=f"norm_{i}"))
        layers.append(keras.layers.ReLU())
    layers += [keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(3, activation="softmax")]
    model = keras.Sequential(layers, name="small")
    model.compile(keras.optimizers.Adam(0.02), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model

x, y = images(64), labels()
model = build(momentum=0.99)
"""


def _told(notebook: Any, url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Run all cells; what they print and show as text."""
    monkeypatch.setenv("PHASEGAP_SERVER", url)
    monkeypatch.setenv("PYTHONPATH", str(EXAMPLES.parent))
    NotebookClient(notebook, timeout=540, kernel_name="python3", resources={"metadata": {"path": EXAMPLES}}).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    return "\n".join(str(o.get("text", "")) + str(o.get("data", {}).get("text/plain", "")) for o in outputs)


def _check_story(notebook: Any, told: str) -> None:
    assert "bn_statistics_unconverged" in told
    assert "is not verified" in told, "apply did not refuse"
    assert "new moving statistics in" in told
    figures = re.findall(r"accuracy ([01]\.\d+)$", told, flags=re.MULTILINE)
    assert figures[1:] == ["1.000", "1.000"], "neither the repair nor the other momentum makes it right"
    assert float(figures[0]) < 1, "inference was not wrong to begin with"
    assert any("text/html" in output.get("data", {}) for cell in notebook.cells for output in cell.get("outputs", []))


def test_the_story_with_a_small_network(real: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    (network,) = [cell for cell in notebook.cells if "network" in cell.metadata.get("tags", [])]
    network.source = SMALL
    _check_story(notebook, _told(notebook, real.url, monkeypatch))


@pytest.mark.slow
def test_the_story_as_it_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    with RoomyServer() as running:
        told = _told(notebook, f"http://{running.host}:{running.port}", monkeypatch)
    _check_story(notebook, told)
    assert "accuracy 0.333" in told


def test_it_is_kept_with_what_it_printed() -> None:
    """Whoever reads it where nothing runs sees the story too; no machine's path is in it."""
    text = NOTEBOOK.read_text()
    assert "accuracy 0.333" in text
    assert "accuracy 1.000" in text
    for place in ("/" + "home/", "/" + "tmp/", "/" + "work/"):
        assert place not in text
