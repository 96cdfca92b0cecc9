// Comfort only: every page works without it. Buttons that remove, and progress that moves by itself.
"use strict";

const STREAMS_AT_ONCE = 4; // A browser opens six connections to one server; pages need some of them.
const ENDS = ["succeeded", "failed", "cancelled"];

/** Follow a diagnosis until it ends; `ended` is told its last state. */
function follow(id, moved, ended) {
  const source = new EventSource(`/diagnoses/${encodeURIComponent(id)}/events`);
  const told = (event) => {
    const data = JSON.parse(event.data);
    moved(data);
    if (ENDS.includes(event.type)) {
      source.close();
      ended(event.type, data);
    }
  };
  for (const kind of ["queued", "running", "progress", ...ENDS]) source.addEventListener(kind, told);
  source.onerror = () => {
    if (source.readyState === EventSource.CLOSED) ended("gone", {}); // else the browser comes back by itself
  };
}

/** A cause's or a problem's code as the list shows it. */
function title(code) {
  const words = code.replaceAll("_", " ");
  if (words.startsWith("bn ")) return `Batch normalization: ${words.slice(3)}`;
  return words.charAt(0).toUpperCase() + words.slice(1);
}

/** Mark in a list of stages which are over and which is on. */
function showStage(list, stage) {
  const items = [...list.querySelectorAll("li")];
  const now = items.findIndex((item) => item.dataset.stage === stage);
  if (now < 0) return;
  items.forEach((item, index) => {
    item.className = index < now ? "done" : index === now ? "now" : "";
    if (index === now) item.setAttribute("aria-current", "step");
    else item.removeAttribute("aria-current");
  });
}

for (const button of document.querySelectorAll("button.delete")) {
  button.hidden = false;
  button.addEventListener("click", async () => {
    if (!window.confirm("Remove this diagnosis with its uploads and results?")) return;
    const answer = await fetch(`/diagnoses/${encodeURIComponent(button.dataset.diagnosis)}`, { method: "DELETE" });
    if (answer.ok || answer.status === 404) window.location.assign("/");
    else window.alert(`It was not removed: the server answered ${answer.status}.`);
  });
}

const waiting = document.querySelector("[data-waiting]");
if (waiting) {
  const bar = waiting.querySelector("progress");
  follow(
    waiting.dataset.waiting,
    (data) => {
      bar.value = data.fraction ?? bar.value;
      waiting.querySelector("[data-stage-now]").textContent = data.stage || "";
      showStage(waiting.querySelector(".stages"), data.stage);
      if (data.note) waiting.querySelector("[data-note]").textContent = data.note;
    },
    () => window.location.reload(),
  );
}

const openRows = [...document.querySelectorAll("tr[data-open]")];
function followRow() {
  const row = openRows.pop(); // the oldest first: it is the next to end
  if (!row) return;
  const outcome = row.querySelector("[data-outcome]");
  const bar = row.querySelector("progress");
  follow(
    row.dataset.open,
    (data) => {
      outcome.textContent = data.stage && data.status === "running" ? `${data.status}: ${data.stage}` : data.status;
      if (bar) bar.value = data.fraction ?? bar.value;
    },
    async (kind) => {
      const answer = await fetch(`/diagnoses/${encodeURIComponent(row.dataset.open)}`, { headers: { Accept: "application/json" } });
      const job = answer.ok ? await answer.json() : {};
      const report = job.report;
      outcome.textContent = (report ? report.verdict : kind).replaceAll("_", " ");
      outcome.className = `badge ${report ? (report.verdict === "inconclusive" ? "inconclusive" : report.severity) : kind}`;
      const cause = (report && report.primary_cause) || (job.error && job.error.code) || "";
      row.querySelector("[data-cause]").textContent = title(cause);
      if (bar) bar.remove();
      followRow();
    },
  );
}
for (let count = 0; count < STREAMS_AT_ONCE; count += 1) followRow();
