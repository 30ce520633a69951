// The two lanes by keyboard: one tab stop, arrows along the flow and between a step and its undo.
let current = "";

function nodesOf(graph) {
  return [...graph.querySelectorAll("[data-node]")];
}

function prepare() {
  const graph = document.querySelector("[data-graph]");
  if (!graph || graph.getAttribute("role") === "application") return;
  const nodes = nodesOf(graph);
  if (!nodes.length) return;
  graph.setAttribute("role", "application");
  for (const node of nodes) {
    node.tabIndex = -1;
    for (const link of node.querySelectorAll("a")) link.tabIndex = -1;
  }
  const stop = nodes.find((node) => node.dataset.key === current) ?? nodes.find((node) => node.classList.contains("is-open")) ?? nodes[0];
  stop.tabIndex = 0;
}

function walk(graph, node, key) {
  const row = node.closest(".saga-row");
  const isUndo = node.classList.contains("node-undo");
  if (key === "ArrowRight" || key === "ArrowLeft") {
    return row.querySelector(key === "ArrowRight" ? ".node-undo" : ".node-forward");
  }
  const lane = nodesOf(graph).filter((one) => one.classList.contains("node-undo") === isUndo);
  const index = lane.indexOf(node) + (key === "ArrowDown" ? 1 : -1);
  return lane[index];
}

document.addEventListener("keydown", (event) => {
  const node = event.target.closest?.("[data-node]");
  if (!node) return;
  const graph = node.closest("[data-graph]");
  if (event.key === "Enter" || event.key === " ") {
    const link = node.querySelector("a.node-title");
    if (link && event.target === node) { event.preventDefault(); link.click(); }
  } else if (event.key.startsWith("Arrow")) {
    const next = walk(graph, node, event.key);
    event.preventDefault();
    if (!next) return;
    for (const one of nodesOf(graph)) one.tabIndex = -1;
    next.tabIndex = 0;
    current = next.dataset.key;
    next.focus();
  }
});

document.addEventListener("amends:replaced", prepare);
prepare();
