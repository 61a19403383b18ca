// Which profile is this? The file is read and digested here (as vpn/profiles/marks.py does), and only digests are sent.
const form = document.querySelector("[data-which]");
const fault = form.querySelector("[data-which-fault]");
const MOST_BYTES = 200_000;
const encoder = new TextEncoder();
const hex = (buffer) => [...new Uint8Array(buffer)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
const digest = async (text) => hex(await crypto.subtle.digest("SHA-256", encoder.encode(text)));
const NOT_ONE = form.dataset.neither;

// Keys sorted, no spaces: what json.dumps writes on the other side.
const canonical = (values) => JSON.stringify(Object.fromEntries(Object.entries(values).sort(([one], [other]) => (one < other ? -1 : 1))));

async function publicKeyOf(text) {
  const head = Uint8Array.from([48, 46, 2, 1, 0, 48, 5, 6, 3, 43, 101, 110, 4, 34, 4, 32]); // PKCS #8 (RFC 8410)
  const secret = Uint8Array.from(atob(text), (sign) => sign.charCodeAt(0));
  const key = await crypto.subtle.importKey("pkcs8", Uint8Array.from([...head, ...secret]), { name: "X25519" }, true, ["deriveBits"]);
  const { x } = await crypto.subtle.exportKey("jwk", key);
  return `${x.replace(/-/g, "+").replace(/_/g, "/")}=`;
}

const listed = (text = "") => text.split(",").map((one) => one.trim()).filter(Boolean);
const isAddress = (text) => /^[\d.]+$|:/.test(text);

function hostAndPort(endpoint = "") {
  const [, host = "", port = ""] = /^\[?([^\]]*)\]?:(\d+)$/.exec(endpoint) ?? [];
  return [host, Number(port)];
}

async function wireguard(text) {
  const values = {};
  let part = "";
  for (const line of text.split("\n").map((one) => one.replace(/#.*/, "").trim())) {
    const [, section] = /^\[(\w+)\]$/.exec(line) ?? [];
    const [, name, value] = /^(\w+)\s*=\s*(.*)$/.exec(line) ?? [];
    if (section) part = section.toLowerCase();
    else if (name) values[`${part}.${name.toLowerCase()}`] = [values[`${part}.${name.toLowerCase()}`], value].filter(Boolean).join(", ");
  }
  if (!values["peer.publickey"]) throw new Error(NOT_ONE);
  if (!values["interface.privatekey"]) throw new Error(form.dataset.keyless);
  const key = await publicKeyOf(values["interface.privatekey"]).catch(() => { throw new Error(form.dataset.old); });
  const names = listed(values["interface.dns"]);
  const [host, port] = hostAndPort(values["peer.endpoint"]);
  const configured = {
    public_key: key,
    addresses: listed(values["interface.address"]).sort(),
    dns: names.filter(isAddress),
    mtu: Number(values["interface.mtu"]),
    hub_public_key: values["peer.publickey"],
    preshared: "peer.presharedkey" in values,
    endpoint_port: port,
    allowed_ips: listed(values["peer.allowedips"]).sort(),
    keepalive: Number(values["peer.persistentkeepalive"] ?? 0),
    listen_port: values["interface.listenport"] ? Number(values["interface.listenport"]) : null,
  };
  const domains = names.filter((name) => !isAddress(name));
  if (domains.length) configured.search_domains = domains;
  return { mark: await digest(key), digest: await digest(canonical(configured)), host: await digest(host) };
}

async function openvpn(text) {
  const inline = (name) => (new RegExp(`<${name}>([^<]*)</${name}>`).exec(text) ?? [])[1]?.trim() ?? "";
  const words = text.replace(/<([\w-]+)>[\s\S]*?<\/\1>/g, "").split("\n").map((line) => line.trim().split(/\s+/));
  const option = (name) => words.find(([first]) => first === name);
  const remotes = words.filter(([first]) => first === "remote");
  if (!inline("cert") || !remotes.length) throw new Error(NOT_ONE);
  const ways = [...new Set(remotes.map(([, , port, by]) => JSON.stringify([Number(port), by])))].map(JSON.parse);
  const certificate = await digest(inline("cert"));
  const configured = {
    remotes: ways,
    ca: await digest(inline("ca")),
    certificate,
    server_name: option("verify-x509-name")?.[1],
    route_all: Boolean(option("redirect-gateway")),
    compat: Boolean(option("cipher")),
    mtu: Number(option("tun-mtu")?.[1]),
  };
  return { mark: certificate, digest: await digest(canonical(configured)), host: await digest(remotes[0][1]) };
}

async function ask(file) {
  if (!crypto.subtle) throw new Error(form.dataset.insecure);
  if (file.size > MOST_BYTES) throw new Error(NOT_ONE);
  const text = (await file.text()).replace(/\r\n/g, "\n");
  const found = await (text.includes("[Interface]") ? wireguard(text) : openvpn(text));
  const body = new URLSearchParams({ ...found, csrfmiddlewaretoken: form.elements.csrfmiddlewaretoken.value });
  const answer = await fetch(form.action, { method: "POST", body });
  if (!answer.ok || answer.redirected) throw new Error(form.dataset.refused);
  document.getElementById("answer").innerHTML = await answer.text();
}

async function look(file) {
  fault.hidden = true;
  document.getElementById("answer").replaceChildren();
  try {
    await ask(file);
  } catch (error) {
    fault.firstElementChild.textContent = error instanceof TypeError ? form.dataset.unanswered : error.message;
    fault.hidden = false;
  }
}

form.addEventListener("submit", (event) => event.preventDefault());
form.querySelector("[type='file']").addEventListener("change", ({ target }) => { if (target.files[0]) look(target.files[0]); });
for (const kind of ["dragenter", "dragover", "dragleave", "drop"]) {
  document.addEventListener(kind, (event) => {
    event.preventDefault();
    form.toggleAttribute("data-over", kind === "dragenter" || kind === "dragover");
    if (kind === "drop" && event.dataTransfer.files[0]) look(event.dataTransfer.files[0]);
  });
}
