// data-again: a form that sends itself after so many seconds, since its answer may be another one by then.
for (const form of document.querySelectorAll("form[data-again]")) {
  setTimeout(() => form.requestSubmit(), Number(form.dataset.again) * 1000);
}
