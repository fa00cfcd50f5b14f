// Where a prompt would go: probabilities, evidence, and the models in their order.
(() => {
  const { el, icon, provider, nothing, say } = RouterPage;

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
      nothing(say("route.type_a_prompt"))
    );
    return (value) => {
      if (value.problem) return host.replaceChildren(nothing(value.problem));
      host.dataset.category = value.category;
      const notes = value.steps.map((_, n) =>
        n ? say("route.if_those_before") : say("route.asked_first_with", { propensity: value.propensity })
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
              el("p", { class: "rt-muted" }, say("route.sure_ahead_by", { confidence: value.confidence, margin: value.margin }))
            ),
            ...RouterPage.routeDetail(value, "h3")
          ),
          el(
            "section",
            { class: "rt-card rt-stack" },
            el("h2", {}, say("route.who_would_be")),
            value.explored
              ? el("p", { class: "rt-why" }, say("route.this_time_another"))
              : null,
            el("ol", { class: "rt-steps" }, ...value.steps.map((one, n) => step(one, notes[n]))),
            el("h3", {}, say("route.meanwhile_from_the")),
            el(
              "ul",
              { class: "rt-steps" },
              step(value.fallback, say("route.speaks_if_the", { limit: value.limit }))
            )
          )
        )
      );
    };
  };
})();
