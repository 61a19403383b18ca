// If the session ended meanwhile, what was typed is kept in this tab during sign-in, without secrets.
const KEY = "kept";
const FORMS = ".frame__main form[method='post']";
const isSecret = (field) => field.type === "password" || field.type === "file" || field.name === "csrfmiddlewaretoken" || field.matches("[data-secret]");
const who = () => document.body.dataset.member ?? "";

function keep(form) {
  if (!form.matches(FORMS) || new URL(form.action).pathname !== location.pathname) return;
  const secret = new Set([...form.elements].filter(isSecret).map((field) => field.name));
  const entries = [...new FormData(form)].filter(([name, value]) => !secret.has(name) && typeof value === "string");
  const index = [...document.querySelectorAll(FORMS)].indexOf(form);
  sessionStorage.setItem(KEY, JSON.stringify({ path: location.pathname, who: who(), index, entries }));
}

function fill(form, entries) {
  for (const field of form.elements) {
    if (!field.name || isSecret(field)) continue;
    const given = entries.filter(([name]) => name === field.name);
    if (field.type === "checkbox" || field.type === "radio") field.checked = given.some(([, value]) => value === field.value);
    else if (field.multiple) for (const option of field.options) option.selected = given.some(([, value]) => value === option.value);
    else if (given.length) {
      field.value = given[0][1];
      entries = entries.filter((one) => one !== given[0]);
    }
  }
  // What previews the form listens once the page is complete.
  addEventListener("load", () => form.dispatchEvent(new Event("change", { bubbles: true })));
}

// What has no field here, such as a row that was added, can only be sent as it was.
function offerToSend(notice, form, entries) {
  const again = document.createElement("form");
  again.method = "post";
  for (const [name, value] of [["csrfmiddlewaretoken", form.elements.csrfmiddlewaretoken.value], ...entries]) {
    const field = document.createElement("textarea");
    Object.assign(field, { name, value, hidden: true });
    again.append(field);
  }
  const button = notice.querySelector("button");
  button.hidden = false;
  button.before(again);
  button.addEventListener("click", () => again.submit());
}

function restore({ index, entries }) {
  const form = document.querySelectorAll(FORMS)[index];
  if (!form) return;
  const notice = document.getElementById("kept").content.firstElementChild.cloneNode(true);
  const here = new Set([...form.elements].map((field) => field.name));
  const fits = entries.every(([name]) => here.has(name));
  notice.querySelector(!entries.length ? "[data-empty]" : fits ? "[data-filled]" : "[data-sendable]").hidden = false;
  if (fits) fill(form, entries);
  else offerToSend(notice, form, entries);
  form.before(notice);
}

const kept = JSON.parse(sessionStorage.getItem(KEY) ?? "null");
// Pages on the way back to the form: those of signing in, and the refusal of a form that is too old.
const isOnTheWay = location.pathname.startsWith("/accounts/") || document.body.hasAttribute("data-too-old");
if (kept && isOnTheWay) sessionStorage.setItem(KEY, JSON.stringify({ ...kept, wasRefused: true }));
if (kept && !isOnTheWay) {
  sessionStorage.removeItem(KEY);
  if (kept.wasRefused && kept.path === location.pathname && kept.who === who()) restore(kept);
}

document.addEventListener("submit", (event) => {
  if (!event.defaultPrevented) keep(event.target);
});

// Found out by what refreshes on its own: nothing was sent, so that the form that was edited last is kept.
let edited = null;
document.addEventListener("input", (event) => { edited = event.target.closest?.(FORMS) ?? edited; });
document.addEventListener("sessionended", () => {
  if (edited?.isConnected) keep(edited);
});
