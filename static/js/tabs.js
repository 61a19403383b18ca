// Tabs that do not fit scroll. The one that is open is in view from the start; browsers that know
// scroll-initial-target do so by themselves.
for (const tabs of document.querySelectorAll(".tabs")) {
  const open = tabs.querySelector("[aria-current]");
  if (open && !CSS.supports("scroll-initial-target", "nearest")) {
    tabs.scrollLeft = open.offsetLeft - tabs.offsetLeft - (tabs.clientWidth - open.offsetWidth) / 2;
  }
}
