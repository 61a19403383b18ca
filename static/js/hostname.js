// New instance: the full address follows what is typed; the server says whether it is free.
const hostname = document.querySelector("[data-preview]");
const preview = hostname && document.getElementById(hostname.dataset.preview);
const name = document.getElementById("id_name");

function show() {
  const typed = hostname.value.trim();
  preview.textContent = typed.toLowerCase() || preview.dataset.empty;
  preview.toggleAttribute("data-typed", typed !== "");
}

// "Köln Süd" suggests koln-sud.
function suggestion() {
  const plain = name.value.normalize("NFD").replace(/\p{Mark}/gu, "").toLowerCase();
  return plain.replace(/[^a-z0-9]+/g, "-").slice(0, hostname.maxLength).replace(/^-+|-+$/g, "");
}

if (preview) {
  hostname.addEventListener("input", show);
  show();
  // A suggestion that was refused, such as a taken hostname, is still one.
  let suggested = hostname.value === suggestion() ? hostname.value : "";
  // A suggestion is selected when the field gets the focus, so that typing replaces it. A click puts the cursor into
  // the text after the focus came, so the first click only focuses; the next one places the cursor.
  hostname.addEventListener("focus", () => {
    if (hostname.value === suggested) hostname.select();
  });
  hostname.addEventListener("mousedown", (event) => {
    if (event.button !== 0 || document.activeElement === hostname || hostname.value !== suggested) return;
    event.preventDefault();
    hostname.focus();
  });
  name.addEventListener("change", () => {
    if (hostname.value !== suggested) return; // typed by hand
    suggested = hostname.value = suggestion();
    hostname.dispatchEvent(new Event("input", { bubbles: true }));
  });
}
