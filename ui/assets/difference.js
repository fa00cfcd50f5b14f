// A change that is seen as a difference before it is made, and made as it was seen.
(() => {
  const { el } = RouterPage;

  function line(text) {
    const kind = { "+": "added", "-": "removed", "@": "place" }[text[0]] || "";
    return el("span", { "data-line": kind }, `${text}\n`);
  }

  // `sent()` is what the form holds; `more()` may still change after the difference was shown.
  RouterPage.difference = (host, trigger, { label, make, sent, more = () => ({}) }) => {
    let looked = null; // what the difference is of
    const root = el("pre", { class: "rt-diff", tabindex: "0", "aria-label": label, hidden: true });
    const button = el(
      "button",
      { type: "button", class: "rt-button", hidden: true, onclick: () => trigger("make", { ...looked, ...more() }) },
      make
    );
    const said = el("p", { class: "rt-wrap", role: "status" });

    function look(event) {
      event.preventDefault();
      looked = sent();
      trigger("look", looked);
    }

    function stale() {
      looked = null;
      root.hidden = button.hidden = true;
    }

    function report(text, isProblem) {
      said.textContent = text;
      said.dataset.kind = isProblem ? "problem" : "";
    }

    function show(value) {
      if (!("said" in value || "problem" in value || value.lines)) return;
      report(value.problem || value.said || "", value.problem);
      root.replaceChildren(...(value.lines || []).map(line));
      root.hidden = button.hidden = !looked || !value.lines?.length;
    }

    RouterPage.failing(host, (why, event) => event === "refresh" || report(why, true));
    return { root, said, make: button, look, stale, show };
  };
})();
