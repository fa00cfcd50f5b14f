// The log's newest requests; each opens in the picture beside it.
(() => {
  const { el, icon, provider, nothing } = RouterPage;
  const ICONS = { done: "done", late: "skipped", failed: "failed", cancelled: "cancelled" };

  RouterPage.views.log = (host, trigger) => {
    let opened = null;

    function open(id) {
      opened = id;
      for (const row of host.querySelectorAll("tr[data-id]"))
        row.dataset.open = String(row.dataset.id === id);
      trigger("select", { request_id: id });
      RouterPage.address.go("log", id);
      const shown = document.querySelector("#replay").getBoundingClientRect();
      const outside = shown.top > innerHeight * 0.8 || shown.bottom < innerHeight * 0.2;
      if (outside) document.querySelector("#replay").scrollIntoView({ block: "start" });
    }

    RouterPage.address.offer("log", open);

    function judged(liked) {
      if (liked === true) return el("span", { title: "liked" }, icon("up"));
      if (liked === false) return el("span", { title: "disliked" }, icon("down"));
      return null;
    }

    function line(row) {
      const request = el(
        "button",
        {
          type: "button",
          class: "rt-link",
          "aria-label": `Open request ${row.id}`,
          onclick: () => open(row.id),
        },
        row.id.slice(0, 8)
      );
      const state = el(
        "div",
        { class: "rt-state rt-small", "data-state": row.state === "late" ? "" : row.state },
        icon(ICONS[row.state]),
        row.word
      );
      const muted = (text) => el("div", { class: "rt-muted rt-small" }, text);
      return [
        {
          "data-id": row.id,
          "data-open": String(row.id === opened),
          onclick: (event) => event.target.closest("button") || open(row.id),
        },
        [request, muted(RouterPage.moment(row.at))],
        [
          row.category,
          row.prompt ? el("div", { class: "rt-muted rt-small rt-clip" }, row.prompt) : null,
        ],
        [row.winner ? provider(row.winner, row.kind, row.mark) : "nobody", state],
        [row.took, muted(row.cost)],
        judged(row.liked),
      ];
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
            ? RouterPage.table(heads, 3, value.rows.map(line))
            : nothing(
                value.narrowed
                  ? "No request matches these filters."
                  : "Nothing was asked yet. Each request is listed here as soon as it is answered."
              )
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
