// What a node was given and what it returned, and what stands behind a badge.
(() => {
  const { el, icon, nothing, say } = RouterPage;

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
    const facts = [node.word, node.took, began && say("inspector.from_ms", { started_ms: Math.round(node.started_ms) })];
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
            section(say("inspector.input"), tree(given(node, value.nodes))),
            section(
              say("inspector.output"),
              node.output === null || node.output === undefined
                ? nothing(node.state === "running" ? say("inspector.it_is_still") : say("inspector.it_returned_nothing"))
                : tree(node.output)
            )
          )
        : nothing(say("inspector.this_node_has")),
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
    route.given ? el("p", { class: "rt-muted" }, say("inspector.you_chose_the", { given: route.given })) : null,
    route.unsure
      ? el("p", { class: "rt-muted" }, say("inspector.no_category_was"))
      : null,
    route.rules.length ? el("p", {}, say("inspector.rules_that_spoke", { rules: route.rules.join(", ") })) : null,
    route.nearest.length
      ? el(
          "div",
          {},
          el(heading, {}, say("inspector.nearest_examples")),
          el(
            "ul",
            { class: "rt-nearest" },
            ...route.nearest.map((found) =>
              el(
                "li",
                {},
                el("span", { class: "rt-leaf" }, found.example),
                el("span", { class: "rt-muted" }, say("inspector.alike", { category: found.category, text: found.text }))
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
      el("h3", {}, say("inspector.why_this_category")),
      el("span", { class: "rt-muted" }, value.route.explored ? say("inspector.explored_not_the") : "")
    ),
    ...RouterPage.routeDetail(value.route),
    el("h4", {}, say("inspector.order_of_the")),
    el("ol", { class: "rt-order" }, ...value.route.order.map((name) => el("li", {}, name))),
  ];
})();
