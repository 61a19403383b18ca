// A key pair made in this browser. The private key goes into the page's files and its QR code, and nowhere else:
// into no form, no address and no store. A reload forgets it.
const X25519 = { name: "X25519" };
const page = (name) => document.querySelector(`[data-own-key-${name}]`);
const base64 = (bytes) => btoa(String.fromCharCode(...bytes));
const bytesOf = (text) => Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (sign) => sign.charCodeAt(0));
let pair = null;
let isSaved = true;

async function makePair() {
  const made = await crypto.subtle.generateKey(X25519, true, ["deriveBits"]);
  const { d, x } = await crypto.subtle.exportKey("jwk", made.privateKey);
  const secret = bytesOf(d);
  // As `wg genkey` writes it (RFC 7748, section 5): the same key.
  secret[0] &= 248;
  secret[31] = (secret[31] & 127) | 64;
  return { secret: base64(secret), public: base64(bytesOf(x)) };
}

function refuse(why) {
  page(`cannot='${why}'`).hidden = false;
  document.querySelector("form[data-own-key]").hidden = true;
}

if (!window.isSecureContext || !crypto.subtle) refuse("insecure");
else crypto.subtle.generateKey(X25519, false, ["deriveBits"]).catch(() => refuse("browser"));

function say(name, words) {
  const line = page(name);
  if (words !== undefined) line.firstElementChild.textContent = words;
  line.hidden = words === "";
}

// The hub learns of the key within seconds. Until then the answer is 503, and the same key is sent again.
async function send(form) {
  const body = new URLSearchParams(new FormData(form));
  body.set("public_key", pair.public);
  for (;;) {
    const answer = await fetch(form.action, { method: "POST", body, headers: { Accept: "text/html" } });
    const seconds = answer.status === 503 && Number(answer.headers.get("Retry-After"));
    if (!seconds) return answer;
    say("waiting");
    await new Promise((done) => { setTimeout(done, seconds * 1000); });
  }
}

// As the portal draws it (vpn/profiles/qr.py): version 20 at most, four light modules around, whole pixels, three or more.
function codeOf(text, level) {
  const code = qrcode(0, level);
  code.addData(text);
  code.make();
  return code.getModuleCount() <= 97 ? code : null;
}

function draw(text) {
  // From the distribution's package node-qrcode-generator.
  if (!window.qrcode) return "undrawn";
  qrcode.stringToBytes = qrcode.stringToBytesFuncs["UTF-8"];
  let code;
  try { code = codeOf(text, "M") ?? codeOf(text, "L"); } catch { code = null; }
  if (!code) return "long";
  const modules = code.getModuleCount() + 8;
  const pixels = Math.max(3, Math.floor(320 / modules));
  const image = page("code");
  image.width = image.height = modules * pixels;
  image.src = code.createDataURL(pixels, 4 * pixels);
  return null;
}

function fill(main) {
  for (const text of main.querySelectorAll("[data-own-key-place]")) {
    text.textContent = text.textContent.replace(text.dataset.ownKeyPlace, `PrivateKey = ${pair.secret}`);
  }
  const why = draw(main.querySelector("#profile-text").textContent);
  if (why) {
    page("code").closest(".code").hidden = true;
    page(why).hidden = false;
  }
}

function show(html, words) {
  const answer = new DOMParser().parseFromString(html, "text/html");
  const main = document.getElementById("main");
  main.replaceChildren(...answer.getElementById("main").childNodes);
  document.title = answer.title;
  isSaved = false;
  fill(main);
  scrollTo(0, 0);
  main.focus();
  document.getElementById("announcements").textContent = words;
}

document.addEventListener("submit", async (event) => {
  const form = event.target;
  if (!form.matches("form[data-own-key]")) return;
  event.preventDefault();
  const button = form.querySelector("button");
  button.disabled = true;
  say("fault", "");
  try {
    pair ??= await makePair();
    const answer = await send(form);
    if (answer.redirected) throw new Error(form.dataset.signedOut);
    if (!answer.ok) throw new Error(answer.headers.get("Content-Type").startsWith("text/plain") ? await answer.text() : form.dataset.refused);
    show(await answer.text(), form.dataset.ready);
  } catch (error) {
    say("fault", error instanceof TypeError ? form.dataset.unanswered : error.message);
    button.disabled = false;
  }
  page("waiting").hidden = true;
});

document.addEventListener("click", (event) => {
  const button = event.target.closest?.("[data-own-key-file]");
  if (button) {
    const text = document.getElementById(button.dataset.ownKeyFile).textContent;
    const address = URL.createObjectURL(new Blob([text], { type: button.dataset.contentType }));
    const link = Object.assign(document.createElement("a"), { href: address, download: button.dataset.filename });
    link.click();
    setTimeout(() => URL.revokeObjectURL(address), 60_000);
    isSaved = true;
  }
  if (event.target.closest?.("[data-own-key-saved]")) isSaved = true;
});

// Whoever leaves without the file is asked first.
addEventListener("beforeunload", (event) => { if (!isSaved) event.preventDefault(); });
