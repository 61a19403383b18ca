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
  let suggested = "";
  name.addEventListener("change", () => {
    if (hostname.value !== suggested) return; // typed by hand
    suggested = hostname.value = suggestion();
    hostname.dispatchEvent(new Event("input", { bubbles: true }));
  });
}
