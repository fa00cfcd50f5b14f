// Documents, passages for a question, and the progress of an ingest.
(() => {
  const { el, icon, nothing, say } = RouterPage;

  RouterPage.views.passages = (host) => (value) => {
    host.dataset.found = String(value.rows.length);
    const verdict = value.mode === "late"
      ? say("knowledge.the_search_did")
      : value.confident
      ? say("knowledge.the_best_passage")
      : say("knowledge.no_passage_is");
    const how = { hybrid: say("knowledge.meaning_and_words"), bm25: say("knowledge.words_alone"), empty: say("knowledge.an_empty_base"), late: say("knowledge.nothing_yet") };
    host.replaceChildren(
      el(
        "div",
        { class: "rt-stack" },
        el("h2", {}, say("knowledge.what_the_question")),
        el(
          "p",
          { class: "rt-state", "data-state": value.confident ? "done" : "late" },
          icon(value.confident ? "done" : "late"),
          verdict
        ),
        el("p", { class: "rt-muted rt-small" }, say("knowledge.searched_by_in", { mode: how[value.mode], took: value.took })),
        ...value.rows.map((row) =>
          el(
            "article",
            { class: "rt-card rt-passage" },
            el(
              "header",
              {},
              el("h3", {}, row.title),
              el("span", { class: "rt-muted rt-small" }, row.source)
            ),
            el(
              "div",
              { class: "rt-share" },
              el("span", { class: "rt-small" }, say("knowledge.score")),
              el("span", { class: "rt-share-bar" }, el("span", { style: { width: `${row.score * 100}%` } })),
              el("span", { class: "rt-share-text" }, row.score.toFixed(2))
            ),
            el("p", { class: "rt-leaf" }, row.text),
            row.similarity
              ? el("p", { class: "rt-muted rt-small" }, say("knowledge.cosine_similarity", { similarity: row.similarity }))
              : null
          )
        )
      )
    );
  };

  function cells(row) {
    const muted = (text) => el("span", { class: "rt-muted" }, text);
    const unit = el("span", { class: "rt-unit" }, row.chunks === 1 ? " passage" : " passages");
    return [row.title, muted(row.source), muted(row.folder), [row.chunks, unit], row.size];
  }

  RouterPage.views.documents = (host) => {
    const names = [say("knowledge.title"), say("knowledge.source"), say("knowledge.folder"), say("knowledge.passages"), say("knowledge.size")];
    return (value) => {
      const chunks = value.chunks ? `, ${say(value.chunks === 1 ? "knowledge.one_passage" : "knowledge.some_passages", value)}` : "";
      host.replaceChildren(
        el(
          "div",
          { class: "rt-stack" },
          value.problem ? el("p", { class: "rt-notice" }, value.problem) : null,
          el("h2", {}, `${say(value.count === 1 ? "knowledge.one_document" : "knowledge.documents", value)}${chunks}`),
          value.rows.length
            ? RouterPage.table(names, 3, value.rows.map((row) => [{}, ...cells(row)]))
            : nothing(say("knowledge.nothing_is_in"))
        )
      );
      host.dataset.count = String(value.count);
    };
  };

  RouterPage.views.progress = (host) => (value) => {
    const share = value.total ? value.done / value.total : value.over ? 1 : 0;
    host.dataset.over = String(value.over);
    host.replaceChildren(
      el(
        "div",
        { class: "rt-progress", role: "status" },
        value.over
          ? el("p", {}, value.problem || `Done: ${value.said}`)
          : el("p", {}, value.total ? say("knowledge.of", { done: value.done, total: value.total, name: value.name }) : say("knowledge.beginning")),
        value.over
          ? null
          : el("div", { class: "rt-progress-bar" }, el("span", { style: { width: `${share * 100}%` } })),
        ...(value.skipped || []).map((one) =>
          el("p", { class: "rt-muted rt-small" }, say("knowledge.was_left_out", { file: one.file, why: one.why }))
        )
      )
    );
  };
})();
