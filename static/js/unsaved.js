// A form that was edited and is left without sending it asks once.
const forms = () => document.querySelectorAll(".frame__main form[method='post']");
// The text of a search within a form is no content of it.
const contentOf = (form) => JSON.stringify([...new FormData(form)].filter(([name]) => !name.endsWith("_search")));
const before = new WeakMap();
let touched = false;
let sent = null;
let silent = false;

for (const form of forms()) before.set(form, contentOf(form));

// One that the server rendered again may hold what was typed before: rows that were added, or what it refused.
function isEdited(form) {
  if (form === sent) return false;
  if (form.querySelector(".field__error")) return true;
  return before.has(form) ? before.get(form) !== contentOf(form) : touched;
}

document.addEventListener("input", (event) => { touched ||= Boolean(event.target.closest?.(".frame__main form[method='post']")); });

document.addEventListener("submit", (event) => {
  if (!event.defaultPrevented) sent = event.target;
});

// The way to the sign-in page: what was typed is kept (kept.js).
document.addEventListener("sessionended", () => { silent = true; });

addEventListener("pageshow", () => { sent = null; });

addEventListener("beforeunload", (event) => {
  if (!silent && [...forms()].some(isEdited)) event.preventDefault();
});
