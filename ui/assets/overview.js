// What passed through: figures, a chart whose bars lead to their requests, and shares.
(() => {
  const { el, nothing, say } = RouterPage;
  const PERIODS = { hour: say("overview.last_hour"), day: say("overview.last_day"), week: say("overview.last_week") };

  function tile([name, value, note]) {
    return el(
      "div",
      { class: "rt-card rt-tile" },
      el("div", { class: "rt-muted rt-small" }, name),
      el("strong", { class: "rt-tile-value" }, value),
      el("div", { class: "rt-muted rt-small" }, note)
    );
  }

  function bar(part, most) {
    const height = (count) => ({ height: `${(100 * count) / most}%` });
    const at = RouterPage.moment(part.start);
    const parts = say("overview.failed_by_the", { failed: part.failed, fallback: part.fallback });
    const said = say("overview.requests_first_word", { at, requests: part.requests, parts, first: part.first });
    return el(
      "a",
      {
        class: "rt-column",
        href: `#/log?from=${part.start.toFixed(3)}&to=${part.end.toFixed(3)}`,
        title: said,
        "aria-label": said,
      },
      el("span", { class: "rt-column-all", style: height(part.requests) }),
      el("span", { class: "rt-column-fallback", style: height(part.failed + part.fallback) }),
      el("span", { class: "rt-column-failed", style: height(part.failed) })
    );
  }

  function shares(title, rows) {
    return el(
      "section",
      { class: "rt-card rt-stack" },
      el("h3", {}, title),
      ...rows.map((row) =>
        el(
          "div",
          { class: "rt-portion" },
          el("span", { class: "rt-wrap" }, row.name),
          el("span", { class: "rt-portion-bar" }, el("span", { style: { width: row.text.replace(" ", "") } })),
          el("span", { class: "rt-muted" }, row.text)
        )
      )
    );
  }

  RouterPage.views.overview = (host, trigger) => {
    host.asks = { period: "day" };
    const choice = el(
      "div",
      { class: "rt-periods", role: "group", "aria-label": say("overview.period") },
      ...Object.entries(PERIODS).map(([period, label]) =>
        el("button", { type: "button", class: "rt-button", "data-period": period, onclick }, label)
      )
    );
    const body = el("div", { class: "rt-stack" });
    host.replaceChildren(el("div", { class: "rt-stack" }, el("h2", {}, say("overview.overview")), choice, body));

    function onclick(event) {
      host.asks = { period: event.currentTarget.dataset.period };
      trigger("refresh", host.asks);
    }

    return (value) => {
      if (value.problem) return body.replaceChildren(nothing(value.problem));
      host.dataset.period = value.period;
      host.dataset.requests = String(value.requests);
      for (const button of choice.children)
        button.setAttribute("aria-pressed", String(button.dataset.period === value.period));
      if (!value.requests) return body.replaceChildren(nothing(say("overview.nothing_was_asked")));
      const most = Math.max(...value.parts.map((part) => part.requests), 1);
      const about = say("overview.all_but_their", { sampled: value.sampled });
      body.replaceChildren(
        el("div", { class: "rt-tiles" }, ...value.figures.map(tile)),
        el("div", { class: "rt-card rt-columns" }, ...value.parts.map((part) => bar(part, most))),
        el("p", { class: "rt-muted rt-small" }, say("overview.each_column_leads"),
          say("overview.red_failed_amber"), value.sampled ? about : ""),
        el("div", { class: "rt-tiles rt-wide" }, shares(say("overview.by_model"), value.models), shares(say("overview.by_category"), value.categories))
      );
    };
  };
})();
