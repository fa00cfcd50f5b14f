// A card for each provider, usable ones first.
(() => {
  const { el, icon, provider, say } = RouterPage;
  const ICONS = { done: "done", failed: "failed", late: "late", off: "skipped" };

  function bar(share, state) {
    if (share === null || share === undefined) return null;
    return el(
      "div",
      {
        class: "rt-budget",
        "data-state": state,
        role: "img",
        "aria-label": say("providers.of_the_daily", { share: Math.round(share * 100) }),
      },
      el("span", { style: { width: `${share * 100}%` } })
    );
  }

  function abilities(said) {
    return el(
      "dl",
      { class: "rt-abilities rt-small", "aria-label": say("providers.capabilities") },
      ...said.map(([name, what]) =>
        el("div", {}, el("dt", {}, name), el("dd", { class: "rt-wrap" }, what))
      )
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
      el("p", { class: "rt-muted rt-small rt-wrap" }, say("providers.at", { model: one.model || "no model", host: one.host })),
      one.state === "off"
        ? null
        : el(
            "dl",
            { class: "rt-facts" },
            ...one.figures.map(([name, said]) => el("div", {}, el("dt", {}, name), el("dd", {}, said)))
          ),
      one.state === "off" ? null : abilities(one.abilities),
      bar(one.share, one.spending)
    );
  }

  // What cannot be used yet, in one card: most configurations know many providers and have one key.
  function unset(some) {
    return el(
      "details",
      { class: "rt-card rt-unset" },
      el("summary", {}, icon("skipped"), el("span", {}, some.said)),
      el("p", { class: "rt-muted rt-small" }, some.how),
      el(
        "dl",
        { class: "rt-abilities rt-small" },
        ...some.each.map((one) =>
          el("div", { "data-provider": one.name }, el("dt", {}, one.name), el("dd", { class: "rt-wrap" }, one.why))
        )
      )
    );
  }

  function spending(budget) {
    return el(
      "section",
      { class: "rt-spending", "data-state": budget.state },
      el("p", {}, el("strong", {}, budget.said)),
      budget.word
        ? el(
            "p",
            { class: "rt-state rt-wrapping", "data-state": budget.state },
            icon(budget.state),
            el("span", {}, budget.word)
          )
        : null,
      bar(budget.share, budget.state)
    );
  }

  RouterPage.views.providers = (host) => (value) => {
    const open = host.querySelector(".rt-unset")?.open;
    host.replaceChildren(
      el(
        "div",
        { class: "rt-stack" },
        spending(value.budget),
        el("div", { class: "rt-cards" }, ...value.cards.map(card)),
        value.unset ? unset(value.unset) : null
      )
    );
    if (open) host.querySelector(".rt-unset").open = true;
    host.dataset.ready = "true";
  };
})();
