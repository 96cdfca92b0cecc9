"""The form as a person uses it: choose or drop files, watch, open the report, take the repaired model home."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from playwright.sync_api import expect

from tests.app.browser.conftest import Files, Screen
from tests.app.served import Server

RUN_MS = 60_000


def predict(model: Path, batch: Path) -> tuple[float, int]:
    """What Keras makes of the model: its loss, and how many samples it predicts."""
    import keras

    arrays = np.load(batch)
    loaded = keras.models.load_model(model)
    loss, _ = loaded.evaluate(arrays["x"], arrays["y"], batch_size=len(arrays["x"]), verbose=0)
    return float(loss), len(loaded.predict(arrays["x"], verbose=0))


def test_a_model_is_uploaded_watched_read_and_taken_home(screen: Screen, chosen: Files, tmp_path: Path) -> None:
    page = screen.page
    page.goto("/")
    page.get_by_label("Model", exact=False).first.set_input_files(chosen["model.keras"])
    page.get_by_label("Sample batch").set_input_files(chosen["batch.npz"])
    page.get_by_role("button", name="Diagnose").click()
    expect(page.locator("#submit-stages")).to_be_visible()
    page.wait_for_url(re.compile(r"/diagnoses/\w+/report$"), timeout=RUN_MS)
    expect(page.locator("#headline")).to_contain_text("moving statistics")

    read = page.locator("#figures tr", has_text="loss").first.locator("td")
    stored, trained = (float(text) for text in read.all_inner_texts())
    loss, _ = predict(chosen["model.keras"], chosen["batch.npz"])
    assert abs(stored - loss) < 1e-3 * stored  # the page says what Keras says
    assert trained < stored

    with page.expect_download() as waited:
        page.get_by_role("link", name="Download the repaired model").click()
    repaired = tmp_path / "repaired.keras"
    waited.value.save_as(repaired)
    assert waited.value.suggested_filename == "model-repaired.keras"
    mended, predicted = predict(repaired, chosen["batch.npz"])
    assert mended < loss
    assert predicted == len(np.load(chosen["batch.npz"])["x"])


DROP = """async (names) => {
  const carried = new DataTransfer();
  for (const name of names) carried.items.add(new File(["x"], name));
  for (const kind of ["dragenter", "dragover", "drop"])
    document.getElementById("submit").dispatchEvent(new DragEvent(kind, { dataTransfer: carried, bubbles: true, cancelable: true }));
}"""  # noqa: E501
CHOSEN = "(name) => [...document.querySelector(`#submit [name=${name}]`).files].map((file) => file.name)"


def test_dropped_files_find_their_fields(screen: Screen) -> None:
    page = screen.page
    for dropped, model, batch, said in (
        (["b.npz", "m.keras"], "m.keras", "b.npz", "Ready to diagnose."),
        (["data.h5", "m.keras"], "m.keras", "data.h5", "Ready to diagnose."),
        (["m.h5", "b.csv"], "m.h5", "b.csv", "Ready to diagnose."),
        (["only.weights.h5"], "only.weights.h5", None, "Now the sample batch."),
        (["photo.png"], None, None, "Neither a model nor a batch by its ending: photo.png."),
    ):
        page.goto("/")
        page.evaluate(DROP, dropped)
        assert page.evaluate(CHOSEN, "model") == ([model] if model else [])
        assert page.evaluate(CHOSEN, "batch") == ([batch] if batch else [])
        expect(page.locator("#submit-state")).to_have_text(said)


def test_what_is_wrong_is_said_in_the_form_and_can_be_mended_there(screen: Screen, chosen: Files) -> None:
    page = screen.page
    page.goto("/")
    page.locator("[name=model]").set_input_files(chosen["custom.keras"])
    page.locator("[name=batch]").set_input_files(chosen["batch.npz"])
    page.get_by_role("button", name="Diagnose").click()
    expect(page.locator("#submit-state.error")).to_contain_text("Doubling", timeout=RUN_MS)
    page.locator("[name=model]").set_input_files(chosen["batch.npz"])
    page.get_by_role("button", name="Diagnose").click()
    expect(page.locator("#submit-state.error")).to_contain_text(".keras")  # refused before it runs
    page.locator("[name=model]").set_input_files(chosen["model.h5"])
    page.get_by_role("button", name="Diagnose").click()
    page.wait_for_url(re.compile(r"/diagnoses/\w+/report$"), timeout=RUN_MS)


def test_the_form_works_without_scripts(screen: Screen, service: Server, chosen: Files) -> None:
    context = screen.page.context.browser.new_context(base_url=service.url, java_script_enabled=False)  # type: ignore[union-attr]
    page = context.new_page()
    page.goto("/")
    expect(page.locator("#drop")).to_be_hidden()
    page.locator("[name=model]").set_input_files(chosen["model.h5"])
    page.locator("[name=batch]").set_input_files(chosen["batch.npz"])
    page.get_by_role("button", name="Diagnose").click()
    expect(page.locator("#headline")).to_be_visible(timeout=RUN_MS)  # the page that waits comes back by itself
    expect(page.locator("#figure-depth .wide svg")).to_be_visible()
    context.close()
