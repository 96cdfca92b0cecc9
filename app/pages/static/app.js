// Comfort only: every page works without it. The form shows upload progress and then the diagnosis' page.
"use strict";

const form = document.getElementById("submit");
if (form) {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const state = document.getElementById("submit-state");
    const data = new FormData();
    for (const [name, value] of new FormData(form)) {
      if (value instanceof File || value !== "") data.append(name, value);
    }
    const request = new XMLHttpRequest();
    request.open("POST", "/diagnose");
    request.setRequestHeader("Prefer", "respond-async");
    request.setRequestHeader("Accept", "application/json");
    request.upload.onprogress = (progress) => {
      if (progress.lengthComputable) state.textContent = `Uploading: ${Math.round((100 * progress.loaded) / progress.total)} %`;
    };
    request.onerror = () => { state.textContent = "The server could not be reached."; };
    request.onload = () => {
      const answer = JSON.parse(request.responseText || "{}");
      if (request.status < 300) window.location.assign(`/diagnoses/${encodeURIComponent(answer.id)}/report`);
      else state.textContent = answer.detail || `The server answered ${request.status}.`;
    };
    state.textContent = "Uploading…";
    request.send(data);
  });
}

for (const button of document.querySelectorAll("button.delete")) {
  button.addEventListener("click", async () => {
    if (!window.confirm("Remove this diagnosis with its uploads and results?")) return;
    await fetch(`/diagnoses/${encodeURIComponent(button.dataset.diagnosis)}`, { method: "DELETE" });
    window.location.assign("/");
  });
}
