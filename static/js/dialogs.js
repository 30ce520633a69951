// Links marked data-dialog open their page's form in a dialog; the form is sent without leaving the
// page. Without script the same link leads to the same form on a page of its own.
import { refresh } from "./live.js";

function formOf(page) {
  return page.querySelector("form[data-act]");
}

async function load(address, options = {}) {
  const answer = await fetch(address, { credentials: "same-origin", headers: { Accept: "text/html" }, ...options });
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  return { answer, form: formOf(page), page };
}

function fill(dialog, form, address) {
  const heading = document.createElement("h2");
  heading.textContent = form.dataset.act;
  const copy = document.importNode(form, true);
  copy.setAttribute("action", address);
  dialog.setAttribute("aria-label", form.dataset.act);
  dialog.replaceChildren(heading, copy);
  const first = copy.querySelector("[aria-invalid=true], [role=alert]") ?? copy.querySelector("textarea, input:not([type=hidden]):not([disabled])");
  first?.focus();
}

async function open(link) {
  const address = link.href;
  const { form } = await load(address);
  if (!form) { location.assign(address); return; }
  const dialog = document.createElement("dialog");
  dialog.className = "dialog";
  dialog.dataset.address = address;
  document.body.append(dialog);
  dialog.addEventListener("close", () => {
    dialog.remove();
    const same = [...document.querySelectorAll("[data-dialog]")].find((one) => one.href === address);
    (link.isConnected ? link : same)?.focus();
  });
  dialog.showModal();
  fill(dialog, form, address);
}

async function send(form, submitter) {
  const dialog = form.closest("dialog");
  submitter?.setAttribute("disabled", "");
  const { answer, form: again } = await load(form.action, { method: "POST", body: new FormData(form) });
  if (dialog && again) { fill(dialog, again, dialog.dataset.address); return; }
  if (!answer.ok) { location.assign(form.action); return; }
  dialog?.close();
  document.dispatchEvent(new CustomEvent("amends:acted"));
  await refresh();
}

document.addEventListener("click", (event) => {
  const link = event.target.closest("a[data-dialog]");
  if (link && !event.ctrlKey && !event.metaKey && !event.shiftKey && event.button === 0) {
    event.preventDefault();
    open(link).catch(() => location.assign(link.href));
  }
  const close = event.target.closest("dialog [data-close]");
  if (close) {
    event.preventDefault();
    close.closest("dialog").close();
  }
});

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.matches("dialog form[data-act], form[data-quiet-form]")) {
    event.preventDefault();
    send(form, event.submitter).catch(() => form.submit());
  }
});
