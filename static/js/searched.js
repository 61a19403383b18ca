// A choice among many rows: typing asks the server for those that match, which is no change of the form. Enter goes on
// to them; it does not send the form around the search.
for (const part of document.querySelectorAll(".searched")) {
  const search = part.querySelector("[hx-post]");
  if (!search) continue;

  for (const event of ["input", "change"]) {
    part.addEventListener(event, (one) => { if (one.target === search) one.stopPropagation(); });
  }

  search.addEventListener("keydown", (event) => {
    if (event.key !== "Enter") return;
    event.preventDefault();
    part.querySelector("select, [type='checkbox']")?.focus();
  });
}
