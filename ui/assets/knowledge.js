// Documents, passages for a question, and the progress of an ingest.
(() => {
  const { el, icon, nothing } = RouterPage;

  RouterPage.views.passages = (host) => (value) => {
    host.dataset.found = String(value.rows.length);
    const verdict = value.mode === "late"
      ? "The search did not end in time; ask once more."
      : value.confident
      ? "The best passage is good enough to be an answer by itself."
      : "No passage is good enough to be trusted; the model would answer plainly.";
    const how = { hybrid: "meaning and words", bm25: "words alone", empty: "an empty base", late: "nothing yet" };
    host.replaceChildren(
      el(
        "div",
        { class: "rt-stack" },
        el("h2", {}, "What the question finds"),
        el(
          "p",
          { class: "rt-state", "data-state": value.confident ? "done" : "late" },
          icon(value.confident ? "done" : "late"),
          verdict
        ),
        el("p", { class: "rt-muted rt-small" }, `Searched by ${how[value.mode]} in ${value.took}.`),
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
              el("span", { class: "rt-small" }, "Score"),
              el("span", { class: "rt-share-bar" }, el("span", { style: { width: `${row.score * 100}%` } })),
              el("span", { class: "rt-share-text" }, row.score.toFixed(2))
            ),
            el("p", { class: "rt-leaf" }, row.text),
            row.similarity
              ? el("p", { class: "rt-muted rt-small" }, `Cosine similarity ${row.similarity}`)
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
    const names = ["Title", "Source", "Folder", "Passages", "Size"];
    return (value) => {
      const chunks = value.chunks ? `, ${value.chunks} passage${value.chunks === 1 ? "" : "s"}` : "";
      host.replaceChildren(
        el(
          "div",
          { class: "rt-stack" },
          value.problem ? el("p", { class: "rt-notice" }, value.problem) : null,
          el("h2", {}, `${value.count} document${value.count === 1 ? "" : "s"}${chunks}`),
          value.rows.length
            ? RouterPage.table(names, 3, value.rows.map((row) => [{}, ...cells(row)]))
            : nothing("Nothing is in yet.")
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
          : el("p", {}, value.total ? `${value.done} of ${value.total}: ${value.name}` : "Beginning …"),
        value.over
          ? null
          : el("div", { class: "rt-progress-bar" }, el("span", { style: { width: `${share * 100}%` } })),
        ...(value.skipped || []).map((one) =>
          el("p", { class: "rt-muted rt-small" }, `${one.file} was left out: it ${one.why}`)
        )
      )
    );
  };
})();
