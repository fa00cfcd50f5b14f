// The six nodes as a picture: buttons in a grid, edges drawn between wherever the grid puts them.
(() => {
  const { el, svg, icon, say } = RouterPage;
  const EDGES = [
    ["classify", "primary"],
    ["classify", "fallback"],
    ["primary", "join"],
    ["fallback", "join"],
    ["join", "log"],
    ["log", "rerank"],
  ];
  const PASSED = ["running", "done", "failed", "cancelled", "late"];

  RouterPage.graph = (onOpen, panel) => {
    const lines = svg("svg", { class: "rt-edges", "aria-hidden": "true" });
    const root = el("div", { class: "rt-graph", role: "group", "aria-label": say("graph.the_graph") }, lines);
    const nodes = {};
    const edges = EDGES.map(([from, to]) => {
      const path = svg("path", { class: "rt-edge", "data-edge": `${from}-${to}` });
      lines.append(path);
      return { from, to, path };
    });

    function node(name) {
      const state = el("span", { class: "rt-node-state" });
      const title = el("span", { class: "rt-node-title" });
      const took = el("span", { class: "rt-node-took" });
      const sub = el("span", { class: "rt-node-sub" });
      const button = el(
        "button",
        {
          type: "button",
          class: "rt-node",
          "data-node": name,
          "aria-expanded": "false",
          "aria-controls": panel,
          onclick: () => onOpen(name),
        },
        el("span", { class: "rt-node-head" }, title, took),
        sub,
        state
      );
      root.append(button);
      return { button, title, took, sub, state, drawn: "" };
    }

    function draw(value, opened) {
      for (const one of value.nodes) {
        const part = (nodes[one.name] ||= node(one.name));
        const open = String(opened === one.name);
        const key = [one.state, one.word, one.sub, one.took, open].join("\u0000");
        if (part.drawn === key) continue;
        part.drawn = key;
        part.button.dataset.state = one.state;
        part.button.setAttribute("aria-expanded", open);
        part.button.setAttribute(
          "aria-label",
          `${one.title}: ${[one.word, one.sub, one.took].filter(Boolean).join(", ")}`
        );
        part.title.textContent = one.title;
        part.took.textContent = one.took || "";
        part.sub.textContent = one.sub || "\u00a0";
        part.sub.title = one.sub || "";
        part.state.replaceChildren(
          icon(one.state),
          el("span", { class: "rt-node-word" }, one.word)
        );
      }
      const states = Object.fromEntries(value.nodes.map((n) => [n.name, n.state]));
      for (const edge of edges) {
        const passed = PASSED.includes(states[edge.from]) && PASSED.includes(states[edge.to]);
        edge.path.dataset.passed = String(passed);
        edge.path.dataset.state = states[edge.to];
      }
      route();
    }

    let measured = "";
    function route() {
      const frame = root.getBoundingClientRect();
      const boxes = {};
      for (const [name, part] of Object.entries(nodes)) {
        const box = part.button.getBoundingClientRect();
        boxes[name] = { x: box.x - frame.x, y: box.y - frame.y, w: box.width, h: box.height };
      }
      const now = JSON.stringify([frame.width, frame.height, boxes]);
      if (now === measured || !frame.width) return;
      measured = now;
      lines.setAttribute("viewBox", `0 0 ${frame.width} ${frame.height}`);
      for (const { from, to, path } of edges) path.setAttribute("d", curve(boxes[from], boxes[to]));
    }

    new ResizeObserver(route).observe(root);
    return { root, draw };
  };

  function curve(a, b) {
    if (!a || !b) return "";
    const beside = b.x >= a.x + a.w - 1;
    if (beside) {
      const [x1, y1, x2, y2] = [a.x + a.w, a.y + a.h / 2, b.x, b.y + b.h / 2];
      const half = (x1 + x2) / 2;
      return `M${x1} ${y1} C${half} ${y1} ${half} ${y2} ${x2} ${y2}`;
    }
    const [x1, y1, x2, y2] = [a.x + a.w / 2, a.y + a.h, b.x + b.w / 2, b.y];
    const half = (y1 + y2) / 2;
    return `M${x1} ${y1} C${x1} ${half} ${x2} ${half} ${x2} ${y2}`;
  }
})();
