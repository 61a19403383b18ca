// Tells the server in which time zone this browser is, so that pages read and show times in it.
const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
const told = document.cookie.split("; ").find((one) => one.startsWith("zone="))?.slice(5);
if (zone && zone !== told) document.cookie = `zone=${zone}; path=/; max-age=31536000; samesite=lax`;

// A field that was rendered before the server knew: the same moment, in this zone, which is sent along with it.
for (const field of document.querySelectorAll("[data-zone]")) {
  if (!zone || field.value === zone) continue;
  const input = document.getElementById(field.dataset.zone);
  const moment = input.value && input.value === input.defaultValue && new Date(`${input.value}Z`);
  if (field.value !== "UTC" || (input.value && !moment)) continue;
  if (moment) {
    const shown = new Date(moment.getTime() - moment.getTimezoneOffset() * 60000).toISOString().slice(0, 16);
    input.value = input.defaultValue = shown;
  }
  field.value = zone;
  input.parentElement.querySelector(".field__suffix").textContent = zone;
}
