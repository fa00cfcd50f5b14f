// What a node was given and what it returned, and what stands behind a badge.
(() => {
  const { el, icon, nothing } = RouterPage;

  // A value of the state as a tree; long lists and nested objects open on demand.
  function tree(value, depth = 0) {
    if (value === null || value === undefined) return el("span", { class: "rt-null" }, "none");
    if (typeof value !== "object") return leaf(value);
    const entries = Array.isArray(value)
      ? value.map((item, index) => [String(index + 1), item])
      : Object.entries(value);
    if (!entries.length) return el("span", { class: "rt-null" }, "empty");
    if (Array.isArray(value) && value.every((v) => typeof v !== "object"))
      return el("span", { class: "rt-leaf" }, value.join(", "));
    const rows = entries.map(([key, item]) => {
      const nested = item !== null && typeof item === "object" && Object.keys(item).length > 0;
      const plain = Array.isArray(item) && item.every((v) => typeof v !== "object");
      if (!nested || plain)
        return el("div", { class: "rt-pair" }, el("dt", {}, key), el("dd", {}, tree(item)));
      const count = Array.isArray(item) ? ` (${item.length})` : "";
      return el(
        "details",
        { class: "rt-nest", open: depth === 0 && !Array.isArray(item) },
        el("summary", {}, key + count),
        tree(item, depth + 1)
      );
    });
    return el("dl", { class: "rt-tree" }, ...rows);
  }

  function leaf(value) {
    if (typeof value === "number") {
      const short = Number.isInteger(value) ? value : Number(value.toPrecision(5));
      return el("span", { class: "rt-number" }, short);
    }
    return el("span", { class: "rt-leaf" }, String(value));
  }

  function section(title, content) {
    return el("section", { class: "rt-io" }, el("h4", {}, title), content);
  }

  function given(node, nodes) {
    if (!node.reads.length) return node.input;
    return Object.fromEntries(
      node.reads.map((name) => [name, nodes.find((n) => n.name === name).output])
    );
  }

  RouterPage.inspectNode = (value, name) => {
    const node = value.nodes.find((n) => n.name === name);
    const began = node.started_ms !== null && node.started_ms !== undefined;
    const facts = [node.word, node.took, began && `from ${Math.round(node.started_ms)} ms`];
    return [
      el(
        "header",
        { class: "rt-inspected", "data-state": node.state },
        icon(node.state),
        el("h3", {}, node.title),
        el("span", { class: "rt-muted" }, facts.filter(Boolean).join(" · "))
      ),
      began
        ? el(
            "div",
            { class: "rt-ios" },
            section("Input", tree(given(node, value.nodes))),
            section(
              "Output",
              node.output === null || node.output === undefined
                ? nothing(node.state === "running" ? "It is still running." : "It returned nothing.")
                : tree(node.output)
            )
          )
        : nothing("This node has not run."),
    ];
  };

  // Probabilities and the nearest examples: used by the badge and by the dry run.
  RouterPage.routeDetail = (route, heading = "h4") => [
    el(
      "div",
      { class: "rt-shares" },
      ...route.probabilities.map((p) =>
        el(
          "div",
          { class: "rt-share", "data-chosen": String(p.category === route.category) },
          el("span", { class: "rt-share-name" }, p.category),
          el("span", { class: "rt-share-bar" }, el("span", { style: { width: `${p.share * 100}%` } })),
          el("span", { class: "rt-share-text" }, p.text)
        )
      )
    ),
    route.given ? el("p", { class: "rt-muted" }, `You chose the category “${route.given}”.`) : null,
    route.unsure
      ? el("p", { class: "rt-muted" }, "No category was clearly ahead, so the general one was taken.")
      : null,
    route.rules.length ? el("p", {}, `Rules that spoke: ${route.rules.join(", ")}.`) : null,
    route.nearest.length
      ? el(
          "div",
          {},
          el(heading, {}, "Nearest examples"),
          el(
            "ul",
            { class: "rt-nearest" },
            ...route.nearest.map((found) =>
              el(
                "li",
                {},
                el("span", { class: "rt-leaf" }, found.example),
                el("span", { class: "rt-muted" }, `${found.category} · ${found.text} alike`)
              )
            )
          )
        )
      : null,
  ].filter(Boolean);

  RouterPage.inspectRoute = (value) => [
    el(
      "header",
      { class: "rt-inspected" },
      el("h3", {}, "Why this category?"),
      el("span", { class: "rt-muted" }, value.route.explored ? "explored: not the usual first" : "")
    ),
    ...RouterPage.routeDetail(value.route),
    el("h4", {}, "Order of the models"),
    el("ol", { class: "rt-order" }, ...value.route.order.map((name) => el("li", {}, name))),
  ];
})();
