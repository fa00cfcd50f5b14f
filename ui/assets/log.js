// The log: filters that stand in the address, pages, and rows that open in the picture beside them.
(() => {
  const { el, icon, provider, nothing, say } = RouterPage;
  const ICONS = { done: "done", late: "skipped", failed: "failed", cancelled: "cancelled" };
  const ORDERS = { newest: say("log.newest_first"), oldest: say("log.oldest_first"), slowest: say("log.slowest_first"), dearest: say("log.dearest_first") };
  const PERIODS = { "": say("log.any_time"), 3600: say("log.last_hour"), 86400: say("log.last_day"), 604800: say("log.last_week") };

  RouterPage.views.log = (host, trigger) => {
    let opened = null;
    let ids = [];
    host.asks = RouterPage.address.query("log");

    // -- filters --------------------------------------------------------------------------------

    const words = el("input", {
      id: "log-search",
      class: "rt-search",
      type: "search",
      placeholder: say("log.model_prompt_error"),
      "aria-label": say("log.search_the_log"),
      oninput: () => ask({ words: words.value }),
    });
    const category = menu("log-category", say("log.category"), (value) => ask({ category: value }));
    const outcome = menu("log-outcome", say("log.outcome"), (value) => ask({ outcome: value }));
    const period = menu("log-period", say("log.time"), (value) =>
      ask({ from: value ? String(Date.now() / 1000 - value) : "", to: "" })
    );
    const order = menu("log-order", say("log.order"), (value) => ask({ order: value }));
    const all = button("show-all", say("log.show_all"), () => ask(null));
    const bar = el("div", { class: "rt-log-filters" }, words, category, outcome, period, order, all,
      button("export-jsonl", say("log.export_jsonl"), () => trigger("jsonl", host.asks)),
      button("export-csv", say("log.export_csv"), () => trigger("csv", host.asks)));
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
          "aria-label": say("log.open_this_request", { id: row.id.slice(0, 8) }),
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
        { class: "rt-pages", "aria-label": say("log.pages") },
        value.page > 0 ? turn(say("log.first_page"), 0) : null,
        value.page > 0 ? turn(say("log.previous_page"), value.page - 1) : null,
        el("span", { class: "rt-muted" }, say("log.page", { page: value.page + 1 })),
        value.more ? turn(say("log.next_page"), value.page + 1) : null,
        opened ? el("button", { type: "button", class: "rt-button", onclick: () => step(-1) }, say("log.previous_request")) : null,
        opened ? el("button", { type: "button", class: "rt-button", onclick: () => step(1) }, say("log.next_request")) : null
      );
    }

    function chosen(value) {
      const query = host.asks;
      const named = (names) => Object.fromEntries(names.map((name) => [name, name]));
      offer(category, { "": say("log.all_categories"), ...named(value.categories || []) }, query.category || "");
      offer(outcome, { "": say("log.all_outcomes"), ...(value.outcomes || {}) }, query.outcome || "");
      offer(order, ORDERS, query.order || "newest");
      if (!query.from) offer(period, PERIODS, "");
      else if (query.to) offer(period, { range: span(query), ...PERIODS }, "range");
      if (document.activeElement !== words) words.value = query.words || "";
      all.hidden = !Object.keys(query).length;
    }

    function span(query) {
      return say("log.to", { from: RouterPage.moment(Number(query.from)), to: RouterPage.moment(Number(query.to)) });
    }

    return (value) => {
      ids = value.rows.map((row) => row.id);
      host.dataset.found = String(ids.length);
      host.dataset.asked = JSON.stringify(host.asks);
      chosen(value);
      const heads = [say("log.request"), say("log.category"), say("log.answered_by"), say("log.time_cost"), say("log.liked")];
      const focused = body.contains(document.activeElement)
        ? document.activeElement.closest("tr")?.dataset.id
        : null;
      body.replaceChildren(
        value.problem ? el("p", { class: "rt-notice" }, value.problem) : "",
        value.rows.length
          ? RouterPage.table(heads, 3, value.rows.map(line))
          : nothing(
              value.narrowed
                ? say("log.no_request_matches")
                : say("log.nothing_was_asked")
            ),
        pages(value)
      );
      if (focused) host.querySelector(`tr[data-id="${CSS.escape(focused)}"] button`)?.focus();
    };
  };
})();
