// The upload form with drag and drop, stages and errors in place. Without it the form is sent as it is, and the server
// answers with the page of the diagnosis.
"use strict";

const form = document.getElementById("submit");
const state = document.getElementById("submit-state");
const stages = document.getElementById("submit-stages");
const drop = document.getElementById("drop");
const BATCH_ONLY = [".npz", ".npy", ".json", ".csv", ".parquet"];
const MODEL_ONLY = [".keras", ".zip", ".tar", ".tar.gz", ".tgz"];
const endsIn = (name, endings) => endings.some((ending) => name.toLowerCase().endsWith(ending));

function say(text, isError = false) {
  state.textContent = text;
  state.className = isError ? "error" : "";
}

function fill(input, file) {
  const carrier = new DataTransfer();
  carrier.items.add(file);
  input.files = carrier.files;
}

/** Which field a dropped file is for: by its ending; one that can be both goes where nothing is yet, models first. */
function fieldFor(file) {
  if (endsIn(file.name, BATCH_ONLY)) return form.elements.batch;
  if (endsIn(file.name, MODEL_ONLY) || endsIn(file.name, [".weights.h5"])) return form.elements.model;
  if (!endsIn(file.name, [".h5", ".hdf5"])) return null;
  return form.elements.model.files.length ? form.elements.batch : form.elements.model;
}

function take(files) {
  const strange = [];
  // Files that can be only one thing go first, so that an .h5 beside them takes the field that is left.
  const sure = (file) => (endsIn(file.name, [".h5", ".hdf5"]) && !endsIn(file.name, [".weights.h5"]) ? 1 : 0);
  for (const file of [...files].sort((a, b) => sure(a) - sure(b))) {
    const field = fieldFor(file);
    if (field) fill(field, file);
    else strange.push(file.name);
  }
  if (strange.length) say(`Neither a model nor a batch by its ending: ${strange.join(", ")}.`, true);
  else say(missing());
}

function missing() {
  if (!form.elements.model.files.length) return "Now the model.";
  return form.elements.batch.files.length ? "Ready to diagnose." : "Now the sample batch.";
}

drop.hidden = false;
for (const kind of ["dragenter", "dragover"]) {
  form.addEventListener(kind, (event) => { event.preventDefault(); form.classList.add("over"); });
}
form.addEventListener("dragleave", (event) => { if (!form.contains(event.relatedTarget)) form.classList.remove("over"); });
form.addEventListener("drop", (event) => {
  event.preventDefault();
  form.classList.remove("over");
  take(event.dataTransfer.files);
});

function busy(isBusy) {
  form.querySelector("button[type=submit]").disabled = isBusy;
  stages.hidden = !isBusy;
}

function failed(text) {
  busy(false);
  say(text, true);
}

async function refused(id) {
  const answer = await fetch(`/diagnoses/${encodeURIComponent(id)}`, { headers: { Accept: "application/json" } });
  const job = answer.ok ? await answer.json() : {};
  failed((job.error && job.error.detail) || "The diagnosis did not end with a report.");
}

function watch(id) {
  say("In the queue.");
  follow(
    id,
    (data) => {
      showStage(stages, data.stage);
      say(data.note || (data.status === "running" ? `${Math.round(100 * (data.fraction || 0))} %` : "In the queue."));
    },
    (kind) => {
      if (kind === "succeeded") window.location.assign(`/diagnoses/${encodeURIComponent(id)}/report`);
      else refused(id);
    },
  );
}

function answered(request) {
  let answer = {};
  try { answer = JSON.parse(request.responseText || "{}"); } catch { /* a proxy's page: the status says what can be said */ }
  if (request.status < 300 && answer.id) watch(answer.id);
  else failed(answer.detail || `The server answered ${request.status}.`);
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  const data = new FormData();
  for (const [name, value] of new FormData(form)) {
    if (value instanceof File || value !== "") data.append(name, value);
  }
  const request = new XMLHttpRequest();
  request.open("POST", "/diagnose");
  request.setRequestHeader("Prefer", "respond-async");
  request.setRequestHeader("Accept", "application/json");
  request.upload.onprogress = (progress) => {
    if (progress.lengthComputable) say(`Uploading: ${Math.round((100 * progress.loaded) / progress.total)} %`);
  };
  request.onerror = () => failed("The server could not be reached.");
  request.onload = () => answered(request);
  busy(true);
  showStage(stages, "upload");
  say("Uploading…");
  request.send(data);
});
