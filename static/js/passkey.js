// Passkeys: a form with data-passkey ("create" or "get") asks the authenticator, then sends its answer.
// data-options holds the server's options, or data-options-from the address that gives them.
const bytes = (text) => Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (sign) => sign.charCodeAt(0));
const text = (buffer) => btoa(String.fromCharCode(...new Uint8Array(buffer))).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");

async function optionsOf(form) {
  if (form.dataset.options) return JSON.parse(form.dataset.options).publicKey;
  const answer = await fetch(form.dataset.optionsFrom, { headers: { Accept: "application/json" } });
  if (!answer.ok) throw new Error(answer.status);
  return (await answer.json()).request_options.publicKey;
}

function decoded(options) {
  const list = (all) => all?.map((one) => ({ ...one, id: bytes(one.id) }));
  return {
    ...options,
    challenge: bytes(options.challenge),
    ...(options.user && { user: { ...options.user, id: bytes(options.user.id) } }),
    ...(options.excludeCredentials && { excludeCredentials: list(options.excludeCredentials) }),
    ...(options.allowCredentials && { allowCredentials: list(options.allowCredentials) }),
  };
}

function encoded(credential) {
  const parts = ["clientDataJSON", "attestationObject", "authenticatorData", "signature", "userHandle"];
  const found = parts.filter((part) => credential.response[part]).map((part) => [part, text(credential.response[part])]);
  return JSON.stringify({
    id: credential.id,
    rawId: text(credential.rawId),
    type: credential.type,
    response: Object.fromEntries(found),
    authenticatorAttachment: credential.authenticatorAttachment ?? undefined,
    clientExtensionResults: credential.getClientExtensionResults(),
  });
}

async function ask(form) {
  const publicKey = decoded(await optionsOf(form));
  if (form.dataset.passkey === "get") return navigator.credentials.get({ publicKey });
  // Without the choice, it has to sign in alone.
  const alone = form.elements.passwordless?.checked ?? true;
  Object.assign(publicKey.authenticatorSelection, {
    residentKey: alone ? "required" : "discouraged",
    requireResidentKey: alone,
    ...(alone && { userVerification: "required" }),
  });
  return navigator.credentials.create({ publicKey });
}

for (const form of document.querySelectorAll("[data-passkey]")) {
  const answer = form.elements.credential;
  const fault = form.querySelector("[data-passkey-fault]");
  // The browser's way back shows the page with an answer that was used.
  addEventListener("pageshow", () => { answer.value = ""; });
  form.addEventListener("submit", async (event) => {
    if (answer.value) return;
    event.preventDefault();
    fault.hidden = true;
    try {
      answer.value = encoded(await ask(form));
      form.requestSubmit();
    } catch (error) {
      console.info(error.name);
      fault.hidden = false;
    }
  });
}
