// Keeps a page true: fetches it again when the server says something happened, and replaces the
// parts marked data-live that changed. What holds the focus of a field, or is open, stays.
import { refreshTimes } from "./times.js";
import { makeTabs } from "./tabs.js";

const SECOND = 1000;
const SETTLE = 120;
const SLOWEST = 10 * SECOND;
let running = null;
let again = false;

async function fetchPage() {
  const answer = await fetch(location.href, { headers: { Accept: "text/html" }, credentials: "same-origin" });
  if (!answer.ok || new URL(answer.url).pathname !== location.pathname) throw new Error(`status ${answer.status}`);
  return new DOMParser().parseFromString(await answer.text(), "text/html");
}

function isBeingUsed(part) {
  const focused = document.activeElement;
  return part.contains(focused) && focused.matches("input, textarea, select");
}

function openDetails(part) {
  return [...part.querySelectorAll("details")].map((one) => one.open);
}

// How to find what has the focus again, once its part was replaced.
function focusPath(part) {
  const focused = document.activeElement;
  if (!part.contains(focused)) return null;
  for (const name of ["data-key", "id", "href", "aria-label"]) {
    const value = focused.getAttribute(name);
    if (value) return `[${name}="${CSS.escape(value)}"]`;
  }
  return null;
}

// What the server said, without what differs from one answer to the next by itself.
function sourceOf(part) {
  const copy = part.cloneNode(true);
  for (const token of copy.querySelectorAll("[name=csrfmiddlewaretoken]")) token.remove();
  for (const time of copy.querySelectorAll("time[data-relative]")) time.textContent = "";
  return copy.outerHTML;
}
const sources = new WeakMap();
for (const part of document.querySelectorAll("[data-live]")) sources.set(part, sourceOf(part));

// A list whose rows stay where they are: known ones are renewed in place, new ones announced.
function renewRows(part, fresh) {
  const known = new Map([...part.querySelectorAll("tr[data-key]")].map((row) => [row.dataset.key, row]));
  const rows = [...fresh.querySelectorAll("tr[data-key]")];
  for (const row of rows) {
    const old = known.get(row.dataset.key);
    if (old && !old.contains(document.activeElement) && old.innerHTML !== row.innerHTML) {
      old.replaceWith(document.importNode(row, true));
    }
  }
  const added = rows.filter((row) => !known.has(row.dataset.key)).length;
  if (!added || !known.size) return added === 0;
  const id = `${part.dataset.live}-news`;
  let button = document.getElementById(id);
  if (!button) {
    button = document.createElement("button");
    button.id = id;
    button.type = "button";
    button.className = "btn";
    button.addEventListener("click", () => location.reload());
    part.before(button);
  }
  button.textContent = `${added} new, show`;
  return true;
}

function replacePart(part, fresh) {
  if (part.hasAttribute("data-keep-rows") && renewRows(part, fresh)) return;
  const source = sourceOf(fresh);
  if (sources.get(part) === source || isBeingUsed(part)) return;
  const open = openDetails(part);
  const focus = focusPath(part);
  const copy = document.importNode(fresh, true);
  part.replaceWith(copy);
  makeTabs(copy);
  sources.set(copy, source);
  [...copy.querySelectorAll("details")].forEach((one, index) => { one.open = open[index] ?? one.open; });
  copy.dispatchEvent(new CustomEvent("amends:replaced", { bubbles: true }));
  if (focus) copy.querySelector(focus)?.focus({ preventScroll: true });
}

export async function refresh() {
  if (running) { again = true; return running; }
  running = (async () => {
    const page = await fetchPage();
    for (const fresh of page.querySelectorAll("[data-live]")) {
      const part = document.querySelector(`[data-live="${CSS.escape(fresh.dataset.live)}"]`);
      if (part) replacePart(part, fresh);
    }
    const marker = page.querySelector("[data-stream]");
    const present = document.querySelector("[data-stream]");
    if (marker && present) present.toggleAttribute("data-ended", marker.hasAttribute("data-ended"));
    const count = page.querySelector(".sidenav");
    if (count) document.querySelector(".sidenav")?.replaceWith(document.importNode(count, true));
    refreshTimes();
  })();
  try {
    await running;
    setConnected(true);
  } catch (error) {
    setConnected(false);
    throw error;
  } finally {
    running = null;
    if (again) { again = false; refresh().catch(() => {}); }
  }
}

let lost = null;
function setConnected(isConnected) {
  if (isConnected) {
    lost?.remove();
    lost = null;
  } else if (!lost) {
    lost = document.createElement("p");
    lost.className = "banner connection";
    lost.dataset.tone = "wait";
    lost.setAttribute("role", "status");
    const time = new Date().toTimeString().slice(0, 5);
    lost.textContent = `Not connected since ${time}, trying again`;
    document.body.append(lost);
  }
}

// --- runs: by the event stream, by polling where there is none ----------------------------------
function follow(marker) {
  let timer = 0;
  let wait = SECOND;
  const soon = () => {
    clearTimeout(timer);
    timer = setTimeout(() => refresh().catch(() => poll()), SETTLE);
  };
  const poll = () => {
    clearTimeout(timer);
    if (marker.hasAttribute("data-ended") && !lost) return;
    timer = setTimeout(async () => {
      if (!document.hidden) {
        await refresh().then(() => { wait = Math.min(wait * 1.3, SLOWEST); }, () => { wait = Math.min(wait * 2, SLOWEST); });
      }
      if (!source || source.readyState !== EventSource.OPEN) poll();
    }, wait);
  };
  let source = null;
  const listen = () => {
    source?.close();
    source = new EventSource(marker.dataset.stream);
    source.onmessage = soon;
    source.addEventListener("snapshot", soon);
    source.onopen = () => { wait = SECOND; };
    source.onerror = () => {
      // The stream of an ended run ends: then there is nothing to wait for.
      source.close();
      refresh().catch(() => {}).finally(() => {
        if (!marker.hasAttribute("data-ended") || lost) { poll(); setTimeout(listen, Math.max(wait, 2 * SECOND)); }
      });
    };
  };
  addEventListener("online", () => { refresh().catch(() => {}); if (!marker.hasAttribute("data-ended")) listen(); });
  if (!marker.hasAttribute("data-ended")) listen();
  document.addEventListener("amends:acted", () => { if (!source || source.readyState === EventSource.CLOSED) listen(); });
}

const marker = document.querySelector("[data-stream]");
if (marker) follow(marker);

// --- lists and the dashboard: now and then ------------------------------------------------------
const slow = document.querySelector("[data-refresh]");
if (slow) {
  setInterval(() => { if (!document.hidden) refresh().catch(() => {}); }, Number(slow.dataset.refresh) * SECOND);
}
