// Regions that refresh by themselves.

// data-polite: waits while the page is hidden or someone works inside.
function busy(region) {
  const selection = document.getSelection();
  const selecting = selection && !selection.isCollapsed && region.contains(selection.anchorNode);
  const unfolding = document.activeElement?.matches("summary[id]") && region.contains(document.activeElement);
  return document.hidden || selecting || (region.matches(":focus-within") && !unfolding);
}

// What was unfolded or folded last keeps its state and the focus, so the page can go on polling while it has the focus.
let folded = null;

document.addEventListener("htmx:beforeSwap", () => {
  const summary = document.activeElement?.closest("summary[id]");
  folded = summary && { id: summary.id, open: summary.parentElement.open };
});

document.addEventListener("htmx:afterSwap", () => {
  const details = folded && document.getElementById(folded.id)?.parentElement;
  if (details) details.open = folded.open;
});

document.addEventListener("htmx:beforeRequest", (event) => {
  const region = event.detail.elt;
  if (region.matches("[data-polite]") && busy(region)) event.preventDefault();
});

// What is new or has another state than before moves a little; what merely came again does not. Rows and chips that
// want this have an id, and their state in data-state.
const before = new Map();

document.addEventListener("htmx:beforeSwap", (event) => {
  const { xhr, target } = event.detail;
  const answeredBy = new URL(xhr.responseURL || location.href).pathname;
  if (answeredBy.startsWith("/accounts/") && !location.pathname.startsWith("/accounts/")) {
    // The session ended: sign in again instead of putting the sign-in page into a fragment.
    event.detail.shouldSwap = false;
    document.dispatchEvent(new Event("sessionended"));
    location.reload();
    return;
  }
  before.clear();
  for (const one of target.querySelectorAll("[data-state]")) before.set(one.id, one.dataset.state);
});

// data-announce: what a screen reader should hear when it changes; the figures beside it change too often for that.
const announced = new Map();

function announce(region) {
  for (const one of region.querySelectorAll("[data-announce]")) {
    const words = one.dataset.announce;
    if (announced.get(region.id) !== words) document.getElementById("announcements").textContent = words;
    announced.set(region.id, words);
  }
}

for (const one of document.querySelectorAll("[data-announce]")) announced.set(one.parentElement.id, one.dataset.announce);

document.addEventListener("htmx:afterSwap", (event) => {
  announce(event.detail.target);
  if (before.size === 0) return;
  for (const one of event.detail.target.querySelectorAll("[data-state]")) {
    if (!before.has(one.id)) one.dataset.new = "";
    else if (before.get(one.id) !== one.dataset.state) one.dataset.changed = "";
  }
});

// The portal does not answer: say so, and take it back with the next answer.
const silence = (is) => document.getElementById("silence")?.toggleAttribute("hidden", !is);
document.addEventListener("htmx:sendError", () => silence(true));
document.addEventListener("htmx:afterOnLoad", () => silence(false));

// The database was busy for too long: what is typed stands in the page still, and can be sent again.
const busyNotice = (is) => document.getElementById("busy")?.toggleAttribute("hidden", !is);
document.addEventListener("htmx:responseError", (event) => busyNotice(event.detail.xhr.status === 503));
document.addEventListener("htmx:afterSwap", () => busyNotice(false));

// What the page shows no longer exists: go to where data-gone says, or show what stands in the page for that.
function gone(region) {
  const words = document.getElementById("gone");
  if (region.dataset.gone) return location.assign(region.dataset.gone);
  if (!words) return;
  const main = document.getElementById("main");
  main.replaceChildren(words.content.cloneNode(true));
  main.focus();
}

// Nothing refreshes on its own any more where the reader may not see it: the page itself says why.
document.addEventListener("htmx:responseError", (event) => {
  const region = event.detail.elt;
  if (!region.closest("[hx-trigger*='every']")) return;
  if (event.detail.xhr.status === 404) gone(region);
  if (event.detail.xhr.status === 403) location.reload();
});
