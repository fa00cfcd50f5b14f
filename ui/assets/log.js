// The log's newest requests; each opens in the picture beside it.
(() => {
  const { el, icon, provider, nothing } = RouterPage;
  const ICONS = { done: "done", late: "skipped", failed: "failed" };

  RouterPage.views.log = (host, trigger) => {
    let opened = null;

    function open(id) {
      opened = id;
      for (const row of host.querySelectorAll("tr[data-id]"))
        row.dataset.open = String(row.dataset.id === id);
      trigger("select", { request_id: id });
    }

    function judged(liked) {
      if (liked === true) return el("span", { title: "liked" }, icon("up"));
      if (liked === false) return el("span", { title: "disliked" }, icon("down"));
      return null;
    }

    function line(row) {
      return el(
        "tr",
        { "data-id": row.id, "data-open": String(row.id === opened) },
        el(
          "td",
          {},
          el(
            "button",
            {
              type: "button",
              class: "rt-link",
              "aria-label": `Open request ${row.id}`,
              onclick: () => open(row.id),
            },
            row.id.slice(0, 8)
          ),
          el("div", { class: "rt-muted rt-small" }, RouterPage.moment(row.at))
        ),
        el(
          "td",
          {},
          row.category,
          row.prompt ? el("div", { class: "rt-muted rt-small rt-clip" }, row.prompt) : null
        ),
        el(
          "td",
          {},
          row.winner ? provider(row.winner, row.kind, row.mark) : "nobody",
          el(
            "div",
            { class: "rt-state rt-small", "data-state": row.state === "late" ? "" : row.state },
            icon(ICONS[row.state]),
            row.word
          )
        ),
        el("td", { class: "rt-right" }, row.took, el("div", { class: "rt-muted rt-small" }, row.cost)),
        el("td", { class: "rt-right" }, judged(row.liked))
      );
    }

    return (value) => {
      host.dataset.found = String(value.found);
      const heads = ["Request", "Category", "Answered by", "Time, cost", ""];
      const focused = host.contains(document.activeElement)
        ? document.activeElement.closest("tr")?.dataset.id
        : null;
      host.replaceChildren(
        el(
          "div",
          { class: "rt-stack" },
          value.problem ? el("p", { class: "rt-notice" }, value.problem) : null,
          el("p", { class: "rt-muted" }, said(value)),
          value.rows.length
            ? el(
                "div",
                { class: "rt-card rt-table-wrap" },
                el(
                  "table",
                  {},
                  el(
                    "thead",
                    {},
                    el(
                      "tr",
                      {},
                      ...heads.map((h, n) =>
                        el("th", { scope: "col", class: n > 2 ? "rt-right" : "" }, h)
                      )
                    )
                  ),
                  el("tbody", {}, ...value.rows.map(line))
                )
              )
            : nothing("No request matches.")
        )
      );
      if (focused) host.querySelector(`tr[data-id="${CSS.escape(focused)}"] button`)?.focus();
    };
  };

  function said(value) {
    const shown = value.rows.length < value.found ? `, the newest ${value.rows.length} shown` : "";
    return `${value.found} request${value.found === 1 ? "" : "s"}${shown}`;
  }
})();
