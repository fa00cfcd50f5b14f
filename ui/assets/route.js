// Where a prompt would go: probabilities, evidence, and the models in their order.
(() => {
  const { el, icon, provider, nothing } = RouterPage;

  function step(one, note) {
    return el(
      "li",
      { class: "rt-step", "data-provider": one.name },
      provider(one.name, one.kind, one.mark),
      el("span", { class: "rt-muted rt-small" }, one.why || note)
    );
  }

  RouterPage.views.route = (host) => {
    host.replaceChildren(
      nothing("Type a prompt: its category, the evidence and the order of the models appear here.")
    );
    return (value) => {
      if (value.problem) return host.replaceChildren(nothing(value.problem));
      host.dataset.category = value.category;
      const notes = value.steps.map((_, n) =>
        n ? "if those before it fail in time" : `asked first, with ${value.propensity} probability`
      );
      host.replaceChildren(
        el(
          "div",
          { class: "rt-cards rt-wide" },
          el(
            "section",
            { class: "rt-card rt-stack" },
            el(
              "header",
              {},
              el("h2", {}, `Category: ${value.category}`),
              el("p", { class: "rt-muted" }, `${value.confidence} sure, ahead by ${value.margin}`)
            ),
            ...RouterPage.routeDetail(value, "h3")
          ),
          el(
            "section",
            { class: "rt-card rt-stack" },
            el("h2", {}, "Who would be asked"),
            value.explored
              ? el("p", { class: "rt-why" }, "This time another than the usual first: exploration.")
              : null,
            el("ol", { class: "rt-steps" }, ...value.steps.map((one, n) => step(one, notes[n]))),
            el("h3", {}, "Meanwhile, from the knowledge base"),
            el(
              "ul",
              { class: "rt-steps" },
              step(value.fallback, `speaks if the first has no word after ${value.limit}`)
            )
          )
        )
      );
    };
  };
})();
