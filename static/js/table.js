// A table in a form: its rows are added, removed and moved in place. They are moved by dragging, by their buttons, or
// with Alt and the arrow keys, where they have such buttons. Nothing is saved before Save is pressed. Without this
// script, the same buttons ask the server (vpn/forms/table.py).
//
// data-table is the prefix of the fields' names; with data-ends-empty the last row is always an empty one. What is
// announced stands in data-added, data-removed, and, where rows move, in data-moved, data-first and data-last: sentences
// with {name}, {number} and {total}. A row without a name is called data-nameless. A part of the form with data-unsaved
// appears with the first row that is added, removed or moved.
const list = document.querySelector("[data-table]");
const template = document.getElementById("row-template");
const { table } = list.dataset;
const NUMBER_IN_NAME = new RegExp(`${table}-(\\d+|__new__)-`, "g");
const form = list.closest("form");
const NAMES = ["name", "id", "aria-labelledby", "aria-describedby"];

const rows = () => [...list.rows];
const titleOf = (row) => row.querySelector("[name$='-name']").value.trim() || list.dataset.nameless;
const isEmpty = (row) => [...row.querySelectorAll("input:not([type='hidden'])")].every((field) => !field.value.trim());

function announce(words, values) {
  document.getElementById("announcements").textContent = words.replace(/\{(\w+)\}/g, (_, key) => values[key]);
}

// Fields are numbered in the order of their rows.
function renumber() {
  form.dataset.changed = "";
  form.querySelector("[data-unsaved]")?.removeAttribute("hidden");
  rows().forEach((row, index) => {
    for (const part of row.querySelectorAll("*")) {
      for (const name of NAMES) {
        const value = part.getAttribute(name);
        if (value) part.setAttribute(name, value.replace(NUMBER_IN_NAME, `${table}-${index}-`));
      }
    }
    row.querySelector("[data-number]").textContent = index + 1;
    for (const button of row.querySelectorAll("button")) {
      button.value = button.value.replace(/^(\d+|__new__)/, index);
      button.setAttribute("aria-label", button.getAttribute("aria-label").replace(/\d+/, index + 1));
    }
  });
  const total = form.elements[`${table}-TOTAL_FORMS`];
  if (total) total.value = list.rows.length;
  // What the change means is worked out anew.
  form.dispatchEvent(new Event("change"));
}

function moved(row) {
  renumber();
  announce(list.dataset.moved, { name: titleOf(row), number: rows().indexOf(row) + 1, total: list.rows.length });
}

function move(row, step) {
  const focused = document.activeElement;
  const other = step < 0 ? row.previousElementSibling : row.nextElementSibling;
  if (!other) return announce(step < 0 ? list.dataset.first : list.dataset.last, { name: titleOf(row) });
  if (step < 0) other.before(row);
  else other.after(row);
  moved(row);
  focused.focus();
}

function remove(row) {
  const name = titleOf(row);
  const index = rows().indexOf(row);
  row.remove();
  if ("endsEmpty" in list.dataset && !(rows().length && isEmpty(rows().at(-1)))) append();
  renumber();
  const next = rows()[Math.min(index, rows().length - 1)];
  (next?.querySelector("[name$='-name']") ?? document.querySelector("[name='add']")).focus();
  announce(list.dataset.removed, { name });
}

function append() {
  list.append(template.content.cloneNode(true));
}

function add() {
  append();
  renumber();
  rows().at(-1).querySelector("[name$='-name']").focus();
  announce(list.dataset.added, { number: list.rows.length });
}

form.addEventListener("input", () => { form.dataset.changed = ""; });

form.addEventListener("click", (event) => {
  const button = event.target.closest("[name='add'], [name='move'], [name='remove']");
  if (!button) return;
  event.preventDefault();
  const row = button.closest("tr");
  if (button.name === "add") add();
  else if (button.name === "remove") remove(row);
  else move(row, button.value.endsWith("up") ? -1 : 1);
});

list.addEventListener("keydown", (event) => {
  const step = { ArrowUp: -1, ArrowDown: 1 }[event.key];
  if (!step || !event.altKey || !list.querySelector("[name='move']")) return;
  event.preventDefault();
  move(event.target.closest("tr"), step);
});

// A name that is there is replaced by typing: the list of suggestions shows only what fits the text.
list.addEventListener("focusin", (event) => {
  if (event.target.matches("input[list]")) event.target.select();
});

// Where not all suggestions are in the page, the server is asked for those that fit the text.
list.addEventListener("input", ({ target }) => {
  const search = document.getElementById("ends-search");
  if (!search || !target.matches("input[list]")) return;
  search.value = target.value;
  search.dispatchEvent(new Event("ask"));
});

// Dragging moves the other rows: the one that is held stays where the pointer has it.
list.addEventListener("pointerdown", (event) => {
  if (event.button || !event.target.closest("[data-drag]")) return;
  event.preventDefault();
  const row = event.target.closest("tr");
  const before = rows().indexOf(row);
  const middle = (other) => other.getBoundingClientRect().top + other.offsetHeight / 2;
  const ending = new AbortController();
  row.dataset.dragging = "";

  function follow({ clientY }) {
    for (let next = row.nextElementSibling; next && clientY > middle(next); next = row.nextElementSibling) row.before(next);
    for (let last = row.previousElementSibling; last && clientY < middle(last); last = row.previousElementSibling) row.after(last);
    if (clientY < 80) scrollBy(0, -12);
    else if (clientY > innerHeight - 80) scrollBy(0, 12);
  }

  function end() {
    ending.abort();
    delete row.dataset.dragging;
    if (rows().indexOf(row) !== before) moved(row);
  }

  document.addEventListener("pointermove", follow, { signal: ending.signal });
  document.addEventListener("pointerup", end, { signal: ending.signal });
  document.addEventListener("pointercancel", end, { signal: ending.signal });
});
