// The answer to a form: a reload opens the page again instead of sending the form once more.
history.replaceState(null, "", location.href);
