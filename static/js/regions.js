// The choice of a region: marks the chosen one on the map, and measures round trips from this browser.
const FETCHES = 5;
const PATIENCE = 10_000; // milliseconds for each
const map = document.querySelector(".map");

function mark() {
  const chosen = document.querySelector(".regions [name=region]:checked")?.value;
  for (const one of map?.querySelectorAll("[data-mark]") ?? []) {
    one.toggleAttribute("data-chosen", one.dataset.mark === chosen);
  }
}

async function fetched(url) {
  const begun = performance.now();
  await fetch(url, {
    mode: "no-cors", cache: "no-store", credentials: "omit", referrerPolicy: "no-referrer",
    signal: AbortSignal.timeout(PATIENCE),
  });
  return performance.now() - begun;
}

// The first fetch also opens the connection. The fastest of the others met the fewest queues.
async function measure(place) {
  const { measured, unanswered } = place.closest("[data-measured]").dataset;
  try {
    await fetched(place.dataset.probe);
    let fastest = Infinity;
    for (let count = 1; count < FETCHES; count += 1) fastest = Math.min(fastest, await fetched(place.dataset.probe));
    place.textContent = measured.replace("{time}", `${Math.max(1, Math.round(fastest))} ms`);
  } catch {
    place.textContent = unanswered;
  }
  return `${place.dataset.region}: ${place.textContent}`;
}

document.querySelector(".regions")?.addEventListener("change", mark);
const places = [...document.querySelectorAll("[data-probe]")];
if (places.length) {
  const said = await Promise.all(places.map(measure));
  document.getElementById("announcements").textContent = said.join(". ");
}
