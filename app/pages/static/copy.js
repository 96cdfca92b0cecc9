// Comfort only: a button beside each snippet that copies it.
"use strict";

for (const block of document.querySelectorAll(".snippet")) {
  const code = block.querySelector("code");
  const button = document.createElement("button");
  const state = document.createElement("span");
  button.type = "button";
  button.className = "copy";
  button.textContent = "Copy";
  state.setAttribute("role", "status");
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(code.textContent);
      state.textContent = "Copied.";
    } catch {
      // No clipboard here, as over plain HTTP: the text is selected, so that a key copies it.
      window.getSelection().selectAllChildren(code);
      state.textContent = "Selected: copy it with your keyboard.";
    }
  });
  block.prepend(button, state);
}
