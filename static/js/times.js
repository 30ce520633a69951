// Relative times that stay true while the page is open; the words are those of the server.
const SECOND = 1000;
const UNITS = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];
const WEEK = 7 * 86400;

export function relative(when, now = Date.now()) {
  const seconds = (now - when) / SECOND;
  const distance = Math.abs(seconds);
  if (distance < 10) return "now";
  if (distance > WEEK) return new Date(when).toISOString().slice(0, 10);
  const [size, unit] = UNITS.find(([size]) => distance >= size);
  const words = `${Math.floor(distance / size)} ${unit}`;
  return seconds > 0 ? `${words} ago` : `in ${words}`;
}

export function refreshTimes(root = document) {
  for (const element of root.querySelectorAll("time[data-relative]")) {
    const words = relative(Date.parse(element.dateTime));
    if (element.textContent !== words) element.textContent = words;
  }
}

// How long something has taken so far, in the words of the server's filter.
function length(seconds) {
  if (seconds < 60) return `${Math.floor(seconds)} s`;
  for (const [size, unit, smaller, name] of [[86400, "d", 3600, "h"], [3600, "h", 60, "min"], [60, "min", 1, "s"]]) {
    if (seconds >= size) return `${Math.floor(seconds / size)} ${unit} ${Math.floor((seconds % size) / smaller)} ${name}`;
  }
  return "";
}

function refreshLengths() {
  for (const element of document.querySelectorAll("[data-since]")) {
    element.textContent = length(Math.max(0, (Date.now() - Date.parse(element.dataset.since)) / SECOND));
  }
}

export function keepTimesFresh() {
  refreshTimes();
  setInterval(() => { if (!document.hidden) refreshLengths(); }, SECOND);
  setInterval(() => { if (!document.hidden) refreshTimes(); }, 15 * SECOND);
}
