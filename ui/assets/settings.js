// The configuration in force as one table with a filter.
(() => {
  const { el, nothing } = RouterPage;

  RouterPage.views.settings = (host) => {
    const filter = el("input", {
      class: "rt-search",
      type: "search",
      placeholder: "Filter by name, value or source",
      "aria-label": "Filter the settings",
      oninput: () => narrow(),
    });
    const body = el("tbody");
    const where = el("p", { class: "rt-muted" });
    const none = nothing("No setting matches.");
    host.replaceChildren(
      el(
        "div",
        { class: "rt-stack" },
        where,
        filter,
        el(
          "div",
          { class: "rt-card rt-table-wrap" },
          el(
            "table",
            {},
            el(
              "thead",
              {},
              el("tr", {}, ...["Setting", "Value", "Comes from"].map((t) => el("th", { scope: "col" }, t)))
            ),
            body
          )
        ),
        none
      )
    );

    function narrow() {
      const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
      let seen = 0;
      for (const row of body.children) {
        row.hidden = !words.every((word) => row.dataset.text.includes(word));
        if (!row.hidden) seen += 1;
      }
      none.hidden = seen > 0;
    }

    return (value) => {
      where.textContent = `Read from ${value.folder}, .env and the environment. Keys are masked.`;
      body.replaceChildren(
        ...value.rows.map((row) => {
          const source = row.variable ? `${row.source} (${row.variable})` : row.source;
          const text = `${row.key} ${row.value} ${source}`.toLowerCase();
          return el(
            "tr",
            { "data-text": text },
            el("td", { class: "rt-mono rt-wrap" }, row.key),
            el("td", { class: "rt-wrap" }, row.value),
            el("td", { class: "rt-muted" }, source)
          );
        })
      );
      narrow();
      host.dataset.ready = "true";
    };
  };
})();
