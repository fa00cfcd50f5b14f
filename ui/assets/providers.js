// A card for each provider, usable ones first.
(() => {
  const { el, icon, provider } = RouterPage;
  const ICONS = { done: "done", failed: "failed", late: "late", off: "skipped" };

  function bar(share) {
    if (share === null || share === undefined) return null;
    return el(
      "div",
      { class: "rt-budget", role: "img", "aria-label": `${Math.round(share * 100)} % of the budget` },
      el("span", { style: { width: `${share * 100}%` } })
    );
  }

  function card(one) {
    return el(
      "article",
      { class: "rt-card rt-provider-card", "data-provider": one.name, "data-state": one.state },
      el("header", {}, provider(one.name, one.kind, one.mark)),
      el(
        "p",
        { class: "rt-state", "data-state": one.state },
        icon(ICONS[one.state]),
        el("span", {}, one.word)
      ),
      one.why ? el("p", { class: "rt-muted rt-small rt-wrap" }, one.why) : null,
      el("p", { class: "rt-muted rt-small rt-wrap" }, `${one.model || "no model"} at ${one.host}`),
      one.state === "off"
        ? null
        : el(
            "dl",
            { class: "rt-facts" },
            ...one.figures.map(([name, said]) => el("div", {}, el("dt", {}, name), el("dd", {}, said)))
          ),
      bar(one.share)
    );
  }

  RouterPage.views.providers = (host) => (value) => {
    const limit = value.budget ? ` of ${value.budget}` : ", without a limit";
    host.replaceChildren(
      el(
        "div",
        { class: "rt-stack" },
        el("p", {}, el("strong", {}, "Spent today: "), value.spent + limit),
        bar(value.share),
        el("div", { class: "rt-cards" }, ...value.cards.map(card))
      )
    );
    host.dataset.ready = "true";
  };
})();
