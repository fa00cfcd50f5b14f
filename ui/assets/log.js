// The log: filters that stand in the address, pages, and rows that open in the picture beside them.
(() => {
  const { el, icon, provider, nothing } = RouterPage;
  const ICONS = { done: "done", late: "skipped", failed: "failed", cancelled: "cancelled" };
  const ORDERS = { newest: "newest first", oldest: "oldest first", slowest: "slowest first", dearest: "dearest first" };
  const PERIODS = { "": "any time", 3600: "last hour", 86400: "last day", 604800: "last week" };

  RouterPage.views.log = (host, trigger) => {
    let opened = null;
    let ids = [];
    host.asks = RouterPage.address.query("log");

    // -- filters --------------------------------------------------------------------------------

    const words = el("input", {
      id: "log-search",
      class: "rt-search",
      type: "search",
      placeholder: "Model, prompt, error",
      "aria-label": "Search the log",
      oninput: () => ask({ words: words.value }),
    });
    const category = menu("log-category", "Category", (value) => ask({ category: value }));
    const outcome = menu("log-outcome", "Outcome", (value) => ask({ outcome: value }));
    const period = menu("log-period", "Time", (value) =>
      ask({ from: value ? String(Date.now() / 1000 - value) : "", to: "" })
    );
    const order = menu("log-order", "Order", (value) => ask({ order: value }));
    const all = button("show-all", "Show all", () => ask(null));
    const bar = el("div", { class: "rt-log-filters" }, words, category, outcome, period, order, all,
      button("export-jsonl", "Export JSONL", () => trigger("jsonl", host.asks)),
      button("export-csv", "Export CSV", () => trigger("csv", host.asks)));
    const body = el("div", { class: "rt-stack" });
    host.replaceChildren(el("div", { class: "rt-stack" }, bar, body));
    offer(order, ORDERS, "newest");
    offer(period, PERIODS, "");

    function menu(id, label, chosen) {
      const onchange = (event) => chosen(event.target.value);
      return el("select", { id, class: "rt-select", "aria-label": label, title: label, onchange });
    }

    function button(id, label, onclick) {
      return el("button", { type: "button", id, class: "rt-button", onclick }, label);
    }

    function offer(select, choices, chosen) {
      const known = [...select.options].map((one) => one.value).join();
      const given = Object.entries(choices);
      if (known !== given.map(([value]) => value).join())
        select.replaceChildren(...given.map(([value, label]) => el("option", { value }, label)));
      if (document.activeElement !== select) select.value = chosen;
    }

    // A change of a filter goes back to the first page; null takes all filters away.
    function ask(change) {
      const asked = change ? { ...host.asks, page: "", ...change } : {};
      host.asks = Object.fromEntries(Object.entries(asked).filter(([, value]) => value !== ""));
      RouterPage.address.go("log", opened || "", host.asks);
      trigger("refresh", host.asks);
    }

    RouterPage.address.offer("log", open, (query) => {
      if (JSON.stringify(query) === JSON.stringify(host.asks)) return;
      host.asks = query;
      trigger("refresh", host.asks);
    });

    // -- rows -----------------------------------------------------------------------------------

    function open(id) {
      opened = id;
      for (const row of host.querySelectorAll("tr[data-id]"))
        row.dataset.open = String(row.dataset.id === id);
      trigger("select", { request_id: id });
      RouterPage.address.go("log", id, host.asks);
      const shown = document.querySelector("#replay").getBoundingClientRect();
      const outside = shown.top > innerHeight * 0.8 || shown.bottom < innerHeight * 0.2;
      if (outside) document.querySelector("#replay").scrollIntoView({ block: "start" });
    }

    function step(by) {
      const next = ids[ids.indexOf(opened) + by];
      if (next) open(next);
    }

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
          "aria-label": `${row.id.slice(0, 8)}: open this request`,
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

    function pages(value) {
      const turn = (label, page) =>
        el("button", { type: "button", class: "rt-button", onclick: () => ask({ page: String(page) }) }, label);
      return el(
        "nav",
        { class: "rt-pages", "aria-label": "Pages" },
        value.page > 0 ? turn("First page", 0) : null,
        value.page > 0 ? turn("Previous page", value.page - 1) : null,
        el("span", { class: "rt-muted" }, `Page ${value.page + 1}`),
        value.more ? turn("Next page", value.page + 1) : null,
        opened ? el("button", { type: "button", class: "rt-button", onclick: () => step(-1) }, "Previous request") : null,
        opened ? el("button", { type: "button", class: "rt-button", onclick: () => step(1) }, "Next request") : null
      );
    }

    function chosen(value) {
      const query = host.asks;
      const named = (names) => Object.fromEntries(names.map((name) => [name, name]));
      offer(category, { "": "all categories", ...named(value.categories || []) }, query.category || "");
      offer(outcome, { "": "all outcomes", ...(value.outcomes || {}) }, query.outcome || "");
      offer(order, ORDERS, query.order || "newest");
      if (!query.from) offer(period, PERIODS, "");
      else if (query.to) offer(period, { range: span(query), ...PERIODS }, "range");
      if (document.activeElement !== words) words.value = query.words || "";
      all.hidden = !Object.keys(query).length;
    }

    function span(query) {
      return `${RouterPage.moment(Number(query.from))} to ${RouterPage.moment(Number(query.to))}`;
    }

    return (value) => {
      ids = value.rows.map((row) => row.id);
      host.dataset.found = String(ids.length);
      host.dataset.asked = JSON.stringify(host.asks);
      chosen(value);
      const heads = ["Request", "Category", "Answered by", "Time, cost", "Liked"];
      const focused = body.contains(document.activeElement)
        ? document.activeElement.closest("tr")?.dataset.id
        : null;
      body.replaceChildren(
        value.problem ? el("p", { class: "rt-notice" }, value.problem) : "",
        value.rows.length
          ? RouterPage.table(heads, 3, value.rows.map(line))
          : nothing(
              value.narrowed
                ? "No request matches these filters."
                : "Nothing was asked yet. Each request is listed here as soon as it is answered."
            ),
        pages(value)
      );
      if (focused) host.querySelector(`tr[data-id="${CSS.escape(focused)}"] button`)?.focus();
    };
  };
})();
