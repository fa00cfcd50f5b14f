// What the knowledge base has for a prompt, from the first moment: the passages with their scores,
// and the answer that can be given from them alone, held back while a model may still answer.
(() => {
  const { el, say } = RouterPage;

  function passage(one) {
    return el(
      "li",
      {},
      el(
        "p",
        { class: "rt-passage-head" },
        el("strong", {}, one.title),
        el("span", { class: "rt-muted rt-small rt-wrap" }, one.source),
        el("span", { class: "rt-passage-score", title: say("passages.how_well_it") }, one.score)
      ),
      el("p", { class: "rt-small rt-passage-text" }, one.text)
    );
  }

  function held(text) {
    return el(
      "details",
      { class: "rt-held" },
      el("summary", {}, say("passages.the_answer_from")),
      el("p", { class: "rt-wrap rt-small" }, text)
    );
  }

  RouterPage.passages = () => {
    const said = el("span", { class: "rt-muted rt-small" });
    const body = el("div", { class: "rt-stack" });
    const root = el(
      "details",
      { class: "rt-passages-found", hidden: true },
      el("summary", {}, el("span", {}, say("passages.from_the_knowledge")), said),
      body
    );
    let shown = "";

    function draw(value) {
      const found = value.passages;
      root.hidden = !found;
      if (!found) return;
      if (said.textContent !== found.said) said.textContent = found.said;
      // Folded when it was not needed; what the reader opens or folds stays so until then.
      const opened = `${value.id} ${found.open}`;
      if (root.dataset.state !== opened) root.open = found.open;
      root.dataset.state = opened;
      const key = value.id + JSON.stringify([found.found, found.answer]);
      if (key === shown) return;
      shown = key;
      body.replaceChildren(
        el("ol", {}, ...found.found.map(passage)),
        found.answer ? held(found.answer) : ""
      );
    }

    return { root, draw };
  };
})();
