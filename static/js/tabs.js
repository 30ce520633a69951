// Sections marked data-tab become tabs; without script they simply stand under each other.
const chosen = new Map();

export function makeTabs(root = document) {
  const groups = root.matches?.("[data-tabs]") ? [root] : [...root.querySelectorAll("[data-tabs]")];
  for (const group of groups) {
    const sections = [...group.querySelectorAll(":scope > [data-tab]")];
    if (!sections.length || group.classList.contains("has-tabs")) continue;
    const name = group.dataset.tabs;
    const list = document.createElement("div");
    list.className = "tablist";
    list.setAttribute("role", "tablist");
    list.setAttribute("aria-label", name);
    const tabs = sections.map((section) => {
      const tab = document.createElement("button");
      const key = section.dataset.tab;
      tab.type = "button";
      tab.id = `tab-${key.toLowerCase()}`;
      tab.textContent = key;
      tab.setAttribute("role", "tab");
      section.id = `tabpanel-${key.toLowerCase()}`;
      tab.setAttribute("aria-controls", section.id);
      section.setAttribute("role", "tabpanel");
      section.setAttribute("aria-labelledby", tab.id);
      list.append(tab);
      return tab;
    });
    const show = (index) => {
      chosen.set(name, sections[index].dataset.tab);
      tabs.forEach((tab, at) => {
        tab.setAttribute("aria-selected", String(at === index));
        tab.tabIndex = at === index ? 0 : -1;
        sections[at].hidden = at !== index;
      });
    };
    tabs.forEach((tab, index) => {
      tab.addEventListener("click", () => show(index));
      tab.addEventListener("keydown", (event) => {
        const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
        if (!step) return;
        const next = (index + step + tabs.length) % tabs.length;
        show(next);
        tabs[next].focus();
      });
    });
    group.prepend(list);
    group.classList.add("has-tabs");
    show(Math.max(0, sections.findIndex((one) => one.dataset.tab === chosen.get(name))));
  }
}
