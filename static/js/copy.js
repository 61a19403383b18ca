// Copy buttons: data-copy holds the text, or data-copy-from the id of the element whose text is copied.
function textOf(button) {
  const source = button.dataset.copyFrom && document.getElementById(button.dataset.copyFrom);
  return source ? source.textContent.trim() : button.dataset.copy ?? "";
}

// Without HTTPS the clipboard API is missing; the old way still works.
function copyBySelection(text) {
  const area = document.createElement("textarea");
  area.value = text;
  area.className = "visually-hidden";
  document.body.append(area);
  area.select();
  const copied = document.execCommand("copy");
  area.remove();
  return copied;
}

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return copyBySelection(text);
  }
}

document.addEventListener("click", async (event) => {
  const button = event.target.closest?.("[data-copy], [data-copy-from]");
  if (!button) return;
  const copied = await copy(textOf(button));
  const announcements = document.getElementById("announcements");
  announcements.textContent = copied ? announcements.dataset.copied : announcements.dataset.notCopied;
  if (!copied) return;
  button.dataset.copied = "";
  setTimeout(() => delete button.dataset.copied, 1500);
});
