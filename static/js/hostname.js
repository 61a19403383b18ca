// New instance: the full address follows what is typed; the server says whether it is free.
const input = document.querySelector("[data-preview]");
const preview = input && document.getElementById(input.dataset.preview);

function show() {
  preview.textContent = input.value.trim().toLowerCase() || preview.dataset.empty;
  preview.toggleAttribute("data-typed", input.value.trim() !== "");
}

if (preview) {
  input.addEventListener("input", show);
  show();
}
