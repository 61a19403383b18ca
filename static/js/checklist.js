// A long checklist: typing shows what fits, in any order of the words. What is ticked stays ticked, seen or not.
// data-filters is the list's id, data-shown the sentence with {shown} and {total}.
const folded = (text) => text.normalize("NFD").replace(/\p{Mark}/gu, "").toLowerCase();

for (const search of document.querySelectorAll("[data-filters]")) {
  const list = document.getElementById(search.dataset.filters);
  const nothing = list.parentElement.querySelector("[data-nothing]");
  const items = [...list.querySelectorAll(".checklist__item")].map((item) => [item, folded(item.textContent)]);

  search.addEventListener("input", () => {
    const words = folded(search.value).split(/\s+/).filter(Boolean);
    for (const [item, text] of items) item.hidden = !words.every((word) => text.includes(word));
    const shown = items.filter(([item]) => !item.hidden).length;
    list.hidden = shown === 0;
    nothing.hidden = shown > 0;
    document.getElementById("announcements").textContent = search.dataset.shown.replace("{shown}", shown).replace("{total}", items.length);
  });

  // Enter searches; it does not save the form around it.
  search.addEventListener("keydown", (event) => {
    if (event.key === "Enter") event.preventDefault();
  });
}
