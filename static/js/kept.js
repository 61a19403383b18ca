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
  const boxes = new Set([...form.elements].filter((field) => field.type === "checkbox").map((field) => field.name));
  const asked = [];
  for (const field of [...form.elements]) {
    if (!field.name || isSecret(field)) continue;
    const given = entries.filter(([name]) => name === field.name);
    if (boxes.has(field.name)) tick(field, given);
    else if (field.type === "radio") field.checked = given.some(([, value]) => value === field.value);
    else if (field.multiple) for (const option of field.options) option.selected = given.some(([, value]) => value === option.value);
    else if (given.length) {
      const [, value] = given[0];
      // Found by a search: its words come with the answer to the same search.
      if (field.options && ![...field.options].some((option) => option.value === value)) {
        field.add(new Option(value, value));
        asked.push(field.closest(".searched")?.querySelector("[hx-post]"));
      }
      field.value = value;
      entries = entries.filter((one) => one !== given[0]);
    }
  }
  for (const name of boxes) keepUnseen(form, name, entries);
  // What previews the form, or is searched, listens once the page is complete.
  addEventListener("load", () => {
    form.dispatchEvent(new Event("change", { bubbles: true }));
    for (const search of asked) search?.dispatchEvent(new Event("ask"));
  });
}

// A long list of boxes has those that are ticked and not shown in a hidden field, one a line.
const ticked = (given) => given.flatMap(([, value]) => value.split(/\r?\n/));

function tick(field, given) {
  if (field.type === "checkbox") field.checked = ticked(given).includes(field.value);
  else field.remove();
}

function keepUnseen(form, name, entries) {
  const seen = new Set([...form.querySelectorAll("[type='checkbox']")].filter((box) => box.name === name).map((box) => box.value));
  const unseen = ticked(entries.filter((one) => one[0] === name)).filter((value) => !seen.has(value));
  if (!unseen.length) return;
  const field = document.createElement("input");
  Object.assign(field, { type: "hidden", name, value: unseen.join("\n") });
  form.querySelector(`[name="${CSS.escape(name)}"]`).closest("div").append(field);
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
