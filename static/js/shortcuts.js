// Single letters, outside of fields: g and a letter go to a page, / goes to the search, ? shows all.
const PLACES = { d: "/", w: "/workflows/", r: "/runs/", a: "/approvals/", l: "/audit/" };
const SHEET = [
  ["g then d, w, r, a, l", "Dashboard, workflows, runs, approvals, audit log"],
  ["/", "Search"],
  ["j, k", "Next and previous row of a list"],
  ["Enter", "Open"],
  ["1 to 6", "Views of a run"],
  ["Arrows", "Walk the steps of a run, and between a step and its undo"],
  ["Ctrl Enter", "Send the form you are in"],
  ["Esc", "Close"],
  ["?", "This list"],
];
const WAIT = 1500;
let afterG = Number.NEGATIVE_INFINITY;

function isTyping(element) {
  return element.closest("input, textarea, select, [contenteditable], dialog, [popover]") !== null;
}

function showSheet() {
  const back = document.activeElement;
  const dialog = document.createElement("dialog");
  dialog.className = "dialog";
  dialog.setAttribute("aria-label", "Keyboard shortcuts");
  const heading = document.createElement("h2");
  heading.textContent = "Keyboard shortcuts";
  const list = document.createElement("dl");
  list.className = "terms";
  for (const [keys, meaning] of SHEET) {
    const term = document.createElement("dt");
    const key = document.createElement("kbd");
    key.textContent = keys;
    term.append(key);
    const words = document.createElement("dd");
    words.textContent = meaning;
    list.append(term, words);
  }
  const close = document.createElement("button");
  close.className = "btn";
  close.type = "button";
  close.textContent = "Close";
  close.addEventListener("click", () => dialog.close());
  dialog.append(heading, list, close);
  dialog.addEventListener("close", () => { dialog.remove(); back?.focus(); });
  document.body.append(dialog);
  dialog.showModal();
}

document.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
    event.target.closest("form")?.requestSubmit();
    return;
  }
  if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
  if (event.timeStamp - afterG < WAIT && PLACES[event.key]) {
    event.preventDefault();
    location.assign(PLACES[event.key]);
  } else if (event.key === "/") {
    event.preventDefault();
    (document.querySelector("main input[type=search]") ?? document.querySelector("input[type=search]"))?.focus();
  } else if (event.key === "?") {
    event.preventDefault();
    showSheet();
  }
  afterG = event.key === "g" ? event.timeStamp : Number.NEGATIVE_INFINITY;
});
