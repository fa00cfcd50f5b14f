// Candidates with every term of their score, and the steps of a trial.
(() => {
  const { el, icon, nothing, say } = RouterPage;

  function term(one) {
    return el(
      "div",
      { class: "rt-term", title: say("models.weight", { weight: one.weight }) },
      el("span", { class: "rt-muted" }, one.name),
      el("span", { class: "rt-term-bar" }, el("span", { style: { width: `${one.value * 100}%` } })),
      el("span", { class: "rt-term-said rt-wrap" }, one.said)
    );
  }

  function candidate(row, category, trigger) {
    return el(
      "article",
      { class: "rt-card rt-stack rt-candidate", "data-key": row.key },
      el(
        "header",
        { class: "rt-candidate-head" },
        el(
          "div",
          {},
          el("h3", { class: "rt-wrap" }, row.name),
          el("p", { class: "rt-muted rt-small" }, say("models.known_from", { state: row.state, sources: row.sources }))
        ),
        row.best ? el("span", { class: "rt-mark rt-best" }, say("models.most_promising")) : null,
        el("strong", { class: "rt-score", title: "score" }, row.score.toFixed(2)),
        row.can_try
          ? el(
              "button",
              {
                type: "button",
                class: "rt-button",
                onclick: (event) => {
                  const agreed = row.questions.every((question) => window.confirm(question));
                  const chosen = { key: row.key, category, accepted: row.questions };
                  if (!agreed) return;
                  trigger("select", chosen);
                  follow(event.target);
                },
              },
              say("models.try")
            )
          : null
      ),
      ...row.flags.map((flag) => el("p", { class: "rt-flag rt-small" }, flag)),
      row.refused ? el("p", { class: "rt-flag rt-small" }, row.refused) : null,
      el(
        "details",
        { open: row.best },
        el("summary", { class: "rt-muted rt-small" }, say("models.evidence")),
        el("div", { class: "rt-terms" }, ...row.terms.map(term))
      )
    );
  }

  // One at a time: the steps of two trials would hide each other. What was appended is not offered
  // again; what was not may be tried once more.
  let tried = null;
  const tries = () => document.querySelectorAll("#candidates .rt-candidate-head button");
  document.addEventListener("router-trial", ({ detail }) => {
    if (!tried || !detail.over) return;
    if (detail.appended) tried.dataset.appended = "true";
    tried.textContent = detail.appended ? say("models.appended") : say("models.try_again");
    for (const one of tries()) one.disabled = one.dataset.appended === "true";
  });

  function follow(button) {
    tried = button;
    for (const one of tries()) one.disabled = true;
    button.textContent = say("models.being_tried");
  }

  RouterPage.views.candidates = (host, trigger) => {
    const nobody = say("models.search_to_see");
    host.replaceChildren(nothing(nobody));
    RouterPage.failing(host, () =>
      document.dispatchEvent(new CustomEvent("router-trial", { detail: { over: true, appended: false } }))
    );
    return (value) => {
      host.dataset.busy = String(Boolean(value.busy));
      host.dataset.category = value.category || "";
      if (value.cleared) return host.replaceChildren(nothing(nobody));
      if (value.busy) return host.replaceChildren(nothing(say("models.asking_the_sources")));
      if (value.problem) return host.replaceChildren(nothing(value.problem));
      host.dataset.count = String(value.count);
      host.replaceChildren(
        el(
          "div",
          { class: "rt-stack" },
          el("h2", {}, say("models.candidates")),
          el(
            "p",
            { class: "rt-muted" },
            say("models.candidates_for_from", { count: value.count, category: value.category, asked: value.asked.join(", ") })
          ),
          ...value.problems.map((problem) => el("p", { class: "rt-flag rt-small" }, problem)),
          ...value.rows.map((row) => candidate(row, value.category, trigger))
        )
      );
    };
  };

  function question(one, trigger) {
    const share = el("input", {
      type: "number",
      min: "0.1",
      max: "100",
      step: "0.1",
      value: String(one.share),
      "aria-label": say("models.share_of_the"),
    });
    const answer = (said) => () => {
      const data = { thread: one.thread, answer: said };
      if (said === "append") data.share = share.value;
      trigger("select", data);
    };
    const button = (text, said) =>
      el("button", { type: "button", class: "rt-button", onclick: answer(said) }, text);
    return el(
      "article",
      { class: "rt-card rt-stack rt-question", "data-thread": one.thread },
      el("h3", { class: "rt-wrap" }, one.title),
      el("p", { class: "rt-muted rt-small rt-wrap" }, one.said),
      one.wrong ? el("p", { class: "rt-flag rt-small" }, one.wrong) : null,
      el("label", { class: "rt-small" }, say("models.with"), share, say("models.of_its_traffic")),
      el("div", { class: "rt-answers" }, button(say("models.append"), "append"), button(say("models.refuse"), "refuse"))
    );
  }

  // Drawn anew only when a question changed: a number that somebody is typing stays.
  RouterPage.views.questions = (host, trigger) => {
    let shown = "";
    return (value) => {
      const now = JSON.stringify(value.questions);
      if (now === shown) return;
      shown = now;
      host.replaceChildren(...value.questions.map((one) => question(one, trigger)));
    };
  };

  RouterPage.views.steps = (host) => (value) => {
    host.dataset.over = String(value.over);
    const appended = value.steps.some((step) => step.type === "appended");
    const detail = { over: value.over, appended };
    document.dispatchEvent(new CustomEvent("router-trial", { detail }));
    host.replaceChildren(
      el(
        "ol",
        { class: "rt-card rt-steps", role: "status" },
        ...value.steps.map((step) =>
          el(
            "li",
            { class: "rt-state", "data-state": step.state },
            icon(step.state),
            el("span", { class: "rt-wrap rt-step-text" }, step.text)
          )
        )
      )
    );
  };
})();
