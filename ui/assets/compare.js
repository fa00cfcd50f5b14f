// One prompt side by side: answers without names, a vote, and who wins against whom.
(() => {
  const { el, nothing, say } = RouterPage;

  RouterPage.views.compare = (host, trigger) => {
    let number = "";
    let voting = [];
    const prompt = el("textarea", {
      class: "rt-search",
      rows: 3,
      placeholder: say("compare.one_prompt_for"),
      "aria-label": say("compare.prompt_to_compare"),
    });
    const models = el("fieldset", { class: "rt-models" });
    const ask = el("button", { type: "button", class: "rt-button", id: "compare-ask", onclick: begin }, say("compare.compare"));
    const said = el("p", { class: "rt-muted", role: "status" }, say("compare.choose_two_to"));
    const answers = el("div", { class: "rt-tiles rt-wide" });
    const votes = el("div", { class: "rt-pages" });
    const table = el("div", {});
    host.replaceChildren(
      el("div", { class: "rt-stack" }, el("h2", {}, say("compare.compare")), prompt, models, ask, said, answers, votes,
        el("h2", {}, say("compare.who_wins_against")), table)
    );

    function begin() {
      const chosen = [...models.querySelectorAll("input:checked")].map((one) => one.value);
      ask.disabled = true;
      trigger("ask", { prompt: prompt.value, models: chosen });
    }

    function offer(names) {
      const known = [...models.querySelectorAll("input")].map((one) => one.value).join();
      if (known === names.join()) return;
      models.replaceChildren(
        el("legend", {}, say("compare.models")),
        ...names.map((value) => el("label", {}, el("input", { type: "checkbox", value }), value))
      );
    }

    function card(one) {
      return el(
        "article",
        { class: "rt-card rt-stack rt-compared", "data-letter": one.letter },
        el("h3", {}, one.name ? `${one.letter}: ${one.name}` : one.letter),
        el("div", { class: one.text === null ? "rt-muted" : "rt-compared-text" }, one.text ?? one.missing)
      );
    }

    function vote(choice, label) {
      const send = () => {
        voting = [...votes.children];
        votes.replaceChildren();
        trigger("vote", { round: number, choice });
      };
      return el("button", { type: "button", class: "rt-button", onclick: send }, label);
    }

    function results(rows) {
      const heads = [say("compare.wins"), say("compare.against"), say("compare.share"), say("compare.interval"), say("compare.votes")];
      const cells = (row) => [{}, row.first, row.second, row.share, row.interval, row.n];
      table.replaceChildren(
        rows.length ? RouterPage.table(heads, 2, rows.map(cells)) : nothing(say("compare.nobody_has_voted"))
      );
    }

    RouterPage.failing(host, (why, event) => {
      if (event === "refresh") return;
      said.textContent = why;
      if (event === "vote") votes.replaceChildren(...voting);
      else ask.disabled = false;
    });

    return (value) => {
      if (value.models) offer(value.models);
      if (value.results) results(value.results);
      if (value.problem) said.textContent = value.problem;
      if (value.problem || value.answers) ask.disabled = false;
      if (value.busy) {
        said.textContent = say("compare.asking_models_the", { busy: value.busy });
        answers.replaceChildren();
        votes.replaceChildren();
      }
      if (!value.answers) return;
      answers.replaceChildren(...value.answers.map(card));
      if (!value.round) return void (said.textContent = say("compare.thank_you_the"));
      number = value.round;
      said.textContent = say("compare.which_answer_is");
      const there = value.answers.filter((one) => one.text !== null);
      votes.replaceChildren(
        ...there.map((one) => vote(one.letter, say("compare.is_the_best", { letter: one.letter }))),
        vote("none", say("compare.none_is_better"))
      );
    };
  };
})();
