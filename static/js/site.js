// What every page has: theme, menus, relative times, forms that send themselves, rows by keyboard.
import "./dialogs.js";
import "./live.js";
import "./shortcuts.js";
import { makeTabs } from "./tabs.js";
import { keepTimesFresh } from "./times.js";

const YEAR = 365 * 24 * 60 * 60;

function chooseTheme(menu, theme) {
  document.cookie = `theme=${theme}; path=/; max-age=${YEAR}; samesite=lax`;
  document.documentElement.dataset.theme = theme;
  for (const item of menu.querySelectorAll("[role=menuitemradio]")) {
    item.setAttribute("aria-checked", String(item.value === theme));
  }
}

document.addEventListener("submit", (event) => {
  const menu = event.target.closest("[data-theme-menu]");
  if (menu && event.submitter) {
    event.preventDefault();
    chooseTheme(menu, event.submitter.value);
    menu.hidePopover();
  }
});

// Menus: arrows walk, the first item gets the focus.
for (const menu of document.querySelectorAll("[popover].menu")) {
  const items = () => [...menu.querySelectorAll("[role^=menuitem]")];
  menu.addEventListener("toggle", (event) => {
    if (event.newState === "open") {
      (menu.querySelector("[aria-checked=true]") ?? items()[0])?.focus();
    }
  });
  menu.addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const all = items();
    const next = (all.indexOf(document.activeElement) + step + all.length) % all.length;
    all[next].focus();
  });
}

document.addEventListener("change", (event) => {
  event.target.closest("form[data-autosubmit]")?.requestSubmit();
});
for (const form of document.querySelectorAll("form[data-autosubmit]")) {
  for (const button of form.querySelectorAll("button[type=submit]")) button.hidden = true;
}

// Lists: j and k or the arrows move over the rows, Enter opens one.
function isTyping(element) {
  return element.closest("input, textarea, select, [contenteditable], dialog, [popover]") !== null;
}
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
  const step = { j: 1, k: -1 }[event.key];
  const table = document.querySelector("table[data-rows]");
  if (step && table) {
    const links = [...table.querySelectorAll("tbody tr")].map((row) => row.querySelector("th a, td a"));
    const at = links.indexOf(document.activeElement);
    links[Math.min(Math.max(at + step, 0), links.length - 1)]?.focus();
    event.preventDefault();
  }
  const view = document.querySelector(`[data-view-key="${CSS.escape(event.key)}"]`);
  if (view) view.click();
});

// What scrolls sideways can be scrolled by keyboard too.
for (const wrap of document.querySelectorAll(".table-wrap")) {
  if (wrap.scrollWidth > wrap.clientWidth) wrap.tabIndex = 0;
}

makeTabs();
keepTimesFresh();
