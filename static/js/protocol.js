// The server answers which protocols a router can carry, and ticks one. A protocol that was chosen while it still
// thought stays chosen, where the router can carry it.
let chosen = null;

document.addEventListener("change", ({ target }) => {
  if (target.name === "protocol") chosen = target.value;
});

document.addEventListener("htmx:beforeRequest", ({ detail }) => {
  if (detail.elt.id.startsWith("site_")) chosen = null;
});

// Both ways in which the protocols are replaced: as the target, and beside the subnets of another site.
for (const event of ["htmx:afterSwap", "htmx:oobAfterSwap"]) {
  document.addEventListener(event, ({ detail }) => {
    if (detail.target?.id !== "site_protocol" || chosen === null) return;
    const radio = detail.target.querySelector(`[name="protocol"][value="${CSS.escape(chosen)}"]:enabled`);
    if (radio) radio.checked = true;
  });
}
