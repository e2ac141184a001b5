// The page of `mediagate demo`: asks the frontend for the task, shows its media through the gateway in both
// deliveries, and says what the gateway answered.
"use strict";

const byId = (id) => document.getElementById(id);

function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

function formatBytes(count) {
  if (count < 1024) return `${count} B`;
  if (count < 1024 * 1024) return `${(count / 1024).toFixed(1)} KiB`;
  return `${(count / 1024 / 1024).toFixed(2)} MiB`;
}

const TITLES = {
  video: "Crossing, 12 s",
  street: "Street at dusk",
  cells: "Stained cells",
  fields: "Farmland",
  audio: "A short tune",
};

// ---- Deliveries

const DELIVERIES = ["stream", "redirect"];
const ORDER = ["video", "street", "cells", "fields", "audio"];

function kindOf(object) {
  return object.media_type.split("/")[0];
}

// Makes the figures once; later tasks only bring new links.
function build(delivery, objects) {
  const templates = byId("media").content;
  for (const name of ORDER) {
    const object = objects.find((object) => object.name === name);
    const kind = kindOf(object);
    const figure = templates.querySelector(`.${kind}`).cloneNode(true);
    const media = figure.querySelector("img, video, audio");
    media.id = `${delivery}-${name}`;
    if (kind === "image") media.alt = TITLES[name];
    else media.setAttribute("aria-label", TITLES[name]);
    const title = element("span", { class: "title" }, TITLES[name]);
    if (kind === "video") title.append(seekButtons(delivery, media));
    if (kind === "audio") followAudio(figure.querySelector("canvas"), media);
    figure.querySelector("figcaption").append(
      title,
      element("code", { class: "key" }, object.key),
      element("div", { class: "answer", id: `${delivery}-${name}-answer` }),
    );
    byId(delivery).append(figure);
  }
}

function seekButtons(delivery, video) {
  const buttons = [2, 6, 10].map((second) => {
    const label = `0:${String(second).padStart(2, "0")}`;
    const button = element("button", { type: "button", id: `${delivery}-seek-${second}`, title: `Seek to ${label}` }, label);
    button.addEventListener("click", () => { video.currentTime = second; });
    return button;
  });
  return element("span", { class: "seek" }, ...buttons);
}

// A request of our own beside the element's: an element does not tell what it was answered.
const PROBES = {
  image: { method: "HEAD" },
  video: { headers: { Range: "bytes=0-1023" } },
  audio: {},
};

async function load(delivery, object) {
  const media = byId(`${delivery}-${object.name}`);
  const answer = byId(`${delivery}-${object.name}-answer`);
  const link = object[delivery];
  const kind = kindOf(object);
  media.src = link;
  answer.replaceChildren(element("span", { class: "pill waiting" }, "…"));
  try {
    const response = await fetch(link, { ...PROBES[kind], cache: "no-store" });
    showAnswer(answer, response, kind);
    if (kind === "audio" && response.ok) await drawWave(media, await response.arrayBuffer());
    else if (kind === "video") await response.arrayBuffer();
  } catch (error) {
    answer.dataset.status = "0";
    answer.replaceChildren(element("span", { class: "pill refused" }, "failed"), String(error.message));
  }
}

function showAnswer(answer, response, kind) {
  const method = PROBES[kind].method ?? "GET";
  const status = response.redirected ? `303 → ${response.status}` : String(response.status);
  const size = response.headers.get("content-range") ?? formatBytes(Number(response.headers.get("content-length")));
  const from = response.redirected ? `from S3, ${new URL(response.url).host}` : "through the gateway";
  answer.dataset.status = String(response.status);
  answer.replaceChildren(
    element("span", { class: response.ok ? "pill" : "pill refused" }, `${method} ${status}`),
    element("span", {}, size),
    ...(kind === "image" ? [] : [element("span", {}, from)]),
  );
}

// ---- Waveform: what an annotation frontend does with audio, and why redirected media needs CORS

const waves = new Map();

async function drawWave(audio, bytes) {
  const decoder = new OfflineAudioContext(1, 1, 44100);
  const samples = (await decoder.decodeAudioData(bytes)).getChannelData(0);
  const bars = 160;
  const step = Math.floor(samples.length / bars);
  const peaks = Array.from({ length: bars }, (_, bar) => {
    let peak = 0;
    for (let at = bar * step; at < (bar + 1) * step; at += 8) peak = Math.max(peak, Math.abs(samples[at]));
    return peak;
  });
  waves.set(audio, peaks);
  paintWave(audio);
}

function paintWave(audio) {
  const peaks = waves.get(audio);
  const canvas = audio.parentElement.querySelector("canvas");
  if (!peaks || !canvas.clientWidth) return;
  const ratio = window.devicePixelRatio || 1;
  canvas.width = canvas.clientWidth * ratio;
  canvas.height = canvas.clientHeight * ratio;
  const pen = canvas.getContext("2d");
  const style = getComputedStyle(canvas);
  const played = audio.duration ? audio.currentTime / audio.duration : 0;
  const width = (canvas.width - 16 * ratio) / peaks.length;
  peaks.forEach((peak, bar) => {
    const height = Math.max(2 * ratio, peak * (canvas.height - 12 * ratio));
    pen.fillStyle = style.getPropertyValue(bar / peaks.length < played ? "--tone" : "--soft");
    pen.globalAlpha = bar / peaks.length < played ? 1 : 0.45;
    pen.beginPath();
    pen.roundRect(8 * ratio + bar * width, (canvas.height - height) / 2, Math.max(1, width * 0.62), height, width * 0.3);
    pen.fill();
  });
}

function followAudio(canvas, audio) {
  for (const event of ["timeupdate", "seeked", "ended"]) audio.addEventListener(event, () => paintWave(audio));
  canvas.addEventListener("click", (event) => {
    if (audio.duration) audio.currentTime = (event.offsetX / canvas.clientWidth) * audio.duration;
  });
}

const repaint = () => waves.forEach((_, audio) => paintWave(audio));
window.addEventListener("resize", repaint);
window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", repaint);

// ---- The token

const MEANINGS = {
  typ: "Says that this is a JSON Web Token.",
  alg: "Must be the algorithm of that key; the token has no choice.",
  kid: "Picks the key that verifies the signature.",
  aud: "Must name this gateway.",
  sub: "Who asks. Goes to the audit line, and can be revoked.",
  task: "The task it was made for; other tasks’ links are refused.",
  objects: "All it opens: one prefix in each of the two buckets.",
  iat: "When it was made. Tokens older than a revocation end with it.",
  exp: "When it ends. A presigned URL never lives longer.",
  jti: "Its own number, to revoke just this one.",
};

const TIMES = ["iat", "exp", "nbf"];

function showToken(token) {
  const [header, claims, signature] = token.text.split(".");
  byId("token-text").replaceChildren(
    element("span", { class: "part-header" }, header), ".",
    element("span", { class: "part-claims" }, claims), ".",
    element("span", { class: "part-signature" }, signature),
  );
  const members = [
    ...Object.entries(token.header).map((entry) => [...entry, "part-header"]),
    ...Object.entries(token.claims).map((entry) => [...entry, "part-claims"]),
  ];
  byId("claims").replaceChildren(...members.map(([name, value, part]) => {
    const shown = TIMES.includes(name) ? `${value} (${new Date(value * 1000).toLocaleTimeString()})` : [value].flat().join("\n");
    const cell = element("td", {});
    shown.split("\n").forEach((line, at) => cell.append(...(at ? [element("br")] : []), line));
    return element("tr", {}, element("td", { class: part }, name), cell, element("td", {}, MEANINGS[name] ?? ""));
  }));
}

function showLife() {
  if (!task) return;
  const left = Math.round((task.token.claims.exp * 1000 - Date.now()) / 60000);
  byId("token-life").textContent = left > 0 ? `good for ${left} more minute${left === 1 ? "" : "s"}` : "expired: ask for a new one";
}

// ---- Refusals

async function refuse(name) {
  const answer = byId(`refuse-${name}-answer`);
  try {
    const response = await fetch(task.refusals[name], { cache: "no-store" });
    const text = await response.text();
    const challenge = response.headers.get("www-authenticate");
    answer.replaceChildren(
      element("span", { class: response.ok ? "pill" : "pill refused" }, `${response.status} ${response.statusText}`.trim()),
      ...(challenge ? [element("span", { class: "from" }, `WWW-Authenticate: ${challenge}`)] : []),
      element("pre", {}, pretty(text)),
    );
    answer.dataset.status = String(response.status);
  } catch (error) {
    answer.dataset.status = "0";
    answer.replaceChildren(element("span", { class: "pill refused" }, "failed"), ` ${error.message}`);
  }
  answer.hidden = false;
}

function pretty(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text.slice(0, 2000);
  }
}

// ---- Commands

function commands() {
  const at = (name, delivery) => location.origin + task.objects.find((object) => object.name === name)[delivery].split("?")[0];
  const bearer = '-H "Authorization: Bearer $TOKEN"';
  const video = task.objects.find((object) => object.name === "video");
  const uri = btoa(`s3://media/${video.key}`);
  return [
    ["token", "Keep the token", "an hour long", `TOKEN='${task.token.text}'`],
    ["range", "A range", "206, one KiB of the video", `curl -sS -D - -o /dev/null -r 0-1023 ${bearer} '${at("video", "stream")}'`],
    ["head", "HEAD", "200, the headers alone", `curl -sS -I ${bearer} '${at("street", "stream")}'`],
    ["conditional", "A condition", "304, since nothing changed",
      `ETAG=$(curl -sSI ${bearer} '${at("cells", "stream")}' | tr -d '\\r' | sed -n 's/^etag: //Ip')\n` +
      `curl -sS -D - -o /dev/null ${bearer} -H "If-None-Match: $ETAG" '${at("cells", "stream")}'`],
    ["redirect", "A redirect", "303, then 200 from S3", `curl -sS -L -D - -o /dev/null "${at("video", "redirect")}?token=$TOKEN"`],
    ["key", "An odd key", "200, space, #, % and + arrive as they are", `curl -sS -o fields.png ${bearer} '${at("fields", "stream")}'`],
    ["resolve", "Label Studio’s path", "200, the object as base64 of its s3:// address", `curl -sS -o crossing.mp4 ${bearer} '${location.origin}/tasks/${task.id}/resolve/?fileuri=${encodeURIComponent(uri)}'`],
  ];
}

function showCommands() {
  byId("commands").replaceChildren(...commands().map(([name, title, expected, command]) => {
    const code = element("code", { id: `try-${name}`, tabindex: "0" }, command);
    const copy = element("button", { type: "button", id: `try-${name}-copy` }, "Copy");
    copy.addEventListener("click", () => copyText(copy, code));
    return element("li", {}, element("header", {}, element("b", {}, title), element("span", {}, expected), copy), code);
  }));
}

async function copyText(button, code) {
  try {
    await navigator.clipboard.writeText(code.textContent);
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  } catch {
    // No clipboard outside secure contexts: leave it selected.
    getSelection().selectAllChildren(code);
  }
}

// ---- Live log

const MOST_ROWS = 300;

function addRow(text) {
  const { at, request: entry } = JSON.parse(text);
  const row = rowOf(entry, new Date(at));
  const rows = byId("log-rows");
  rows.prepend(row);
  while (rows.children.length > MOST_ROWS) rows.lastElementChild.remove();
  byId("log-empty").hidden = true;
  if (row.className !== "forward") byId("log-last").textContent = `${entry.method} ${shortPath(entry)} ${statusOf(entry)}`;
}

function rowOf(entry, time) {
  const status = element("span", { class: Number(entry.status) >= 400 ? "pill refused" : "pill" }, statusOf(entry));
  const delivery = ["stream", "redirect"].includes(entry.delivery) ? entry.delivery : "";
  const note = [entry.code ?? entry.delivery, entry.outcome === "client_gone" ? "client gone" : ""];
  const row = element("tr", { "data-route": entry.route ?? "", "data-status": String(entry.status ?? ""), "data-delivery": delivery },
    element("td", {}, time.toLocaleTimeString([], { hour12: false })),
    element("td", {}, entry.method ?? ""),
    element("td", { class: "path", title: entry.path ?? "" }, shortPath(entry)),
    element("td", { class: "wide" }, (entry.range ?? "").replace(/^bytes[ =]/, "")),
    element("td", { class: delivery }, status),
    element("td", {}, note.filter(Boolean).join(", ")),
    element("td", { class: "number" }, entry.bytes === undefined ? "" : Number(entry.bytes).toLocaleString("en")),
    element("td", { class: "number" }, entry.duration_ms === undefined ? "" : `${Number(entry.duration_ms).toFixed(1)} ms`));
  if (entry.route === "forward") row.className = "forward";
  return row;
}

// A client may leave before it gets one.
function statusOf(entry) {
  return String(entry.status ?? "none");
}

function shortPath(entry) {
  try {
    return decodeURIComponent(entry.path ?? "");
  } catch {
    return entry.path;
  }
}

function followLog() {
  const log = byId("log");
  const source = new EventSource("log");
  source.onopen = () => { log.dataset.state = "live"; };
  source.onerror = () => { log.dataset.state = "waiting"; };
  source.onmessage = (event) => addRow(event.data);
}

function foldLog(folded) {
  document.body.classList.toggle("log-folded", folded);
  byId("log-toggle").setAttribute("aria-expanded", String(!folded));
}

byId("log-toggle").addEventListener("click", () => foldLog(!document.body.classList.contains("log-folded")));
byId("log-media").addEventListener("change", (event) => byId("log").classList.toggle("media-only", event.target.checked));
byId("log-clear").addEventListener("click", () => {
  byId("log-rows").replaceChildren();
  byId("log-last").textContent = "";
  byId("log-empty").hidden = false;
});

// ---- Start

let task = null;

async function start() {
  const response = await fetch("task.json", { cache: "no-store" });
  if (!response.ok) throw new Error(`the frontend answered ${response.status}`);
  const first = task === null;
  task = await response.json();
  if (first) DELIVERIES.forEach((delivery) => build(delivery, task.objects));
  showToken(task.token);
  showLife();
  showCommands();
  byId("token-task").textContent = task.id;
  byId("where").textContent = `Gateway: ${location.host}. S3: ${new URL(task.s3_endpoint).host}, in the same process. Everything ends with it.`;
  for (const object of task.objects) for (const delivery of DELIVERIES) load(delivery, object);
  document.body.dataset.ready = "true";
}

function restart() {
  byId("failure").hidden = true;
  start().catch((error) => {
    byId("failure").textContent = `The task did not load: ${error.message}`;
    byId("failure").hidden = false;
  });
}

followLog();
restart();
byId("token-new").addEventListener("click", restart);
for (const name of ["expired", "foreign", "tampered", "missing"]) byId(`refuse-${name}`).addEventListener("click", () => refuse(name));
setInterval(showLife, 10000);
if (window.matchMedia("(max-width: 560px)").matches) foldLog(true);
