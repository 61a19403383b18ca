// Regions that refresh by themselves (data-polite) wait while the page is hidden or someone works inside them.
function busy(region) {
  const selection = document.getSelection();
  const selecting = selection && !selection.isCollapsed && region.contains(selection.anchorNode);
  return document.hidden || selecting || region.matches(":focus-within");
}

document.addEventListener("htmx:beforeRequest", (event) => {
  const region = event.target;
  if (region.matches?.("[data-polite]") && event.detail.requestConfig.triggeringEvent === undefined && busy(region)) event.preventDefault();
});

// A session that ended answers with a redirect to the sign-in page: go there instead of putting it into a fragment.
document.addEventListener("htmx:beforeSwap", (event) => {
  const answered = new URL(event.detail.xhr.responseURL || location.href).pathname;
  if (answered.startsWith("/accounts/") && !location.pathname.startsWith("/accounts/")) {
    event.detail.shouldSwap = false;
    location.reload();
  }
});
