// A key for a provider: pasted, sent once, tried beside another model, and kept.
(() => {
  const { el, say, icon } = RouterPage;
  const ICONS = { done: "done", failed: "failed", running: "running", waiting: "waiting", skipped: "skipped" };

  RouterPage.views.keys = (host, trigger) => {
    let known = [];
    let trial = "";
    const choice = el("select", { class: "rt-select", "aria-label": say("keys.provider"), onchange: choose });
    // No password field: a browser would offer to keep it, which is not where it belongs.
    const key = el("input", {
      class: "rt-search rt-secret",
      type: "text",
      autocomplete: "off",
      autocapitalize: "off",
      spellcheck: "false",
      "aria-label": say("keys.key"),
      placeholder: say("keys.paste"),
      onkeydown: (event) => event.key === "Enter" && test(),
    });
    const goes = el("p", { class: "rt-muted rt-small rt-wrap" });
    const ask = el("button", { type: "button", class: "rt-button", onclick: test }, say("keys.test"));
    const keep = el("button", { type: "button", class: "rt-button", onclick: () => trigger("keep", { trial }) }, say("keys.keep"));
    const said = el("p", { class: "rt-wrap", role: "status" });
    const found = el("div", { class: "rt-stack" });
    const intro = el("p", { class: "rt-muted" });
    const form = el("div", { class: "rt-stack" }, choice, key, goes, el("div", { class: "rt-row" }, ask));
    host.replaceChildren(
      el("section", { class: "rt-card rt-stack" }, el("h2", {}, say("keys.title")), intro, form, said, found,
        el("div", { class: "rt-row" }, keep))
    );
    keep.hidden = true;

    function test() {
      const sent = { provider: choice.value, key: key.value };
      key.value = "";
      trial = "";
      keep.hidden = true;
      found.replaceChildren();
      trigger("test", sent);
    }

    function choose() {
      const one = known.find((provider) => provider.name === choice.value);
      goes.textContent = one ? one.barred || one.goes : "";
      ask.disabled = key.disabled = !one || Boolean(one.barred);
    }

    function offer(offered) {
      const chosen = choice.value;
      const group = (has, label) => {
        const some = offered.filter((one) => one.has === has);
        const options = some.map((one) => el("option", { value: one.name }, one.label));
        return some.length ? el("optgroup", { label }, ...options) : null;
      };
      const groups = [group(false, say("keys.needs")), group(true, say("keys.has"))];
      choice.replaceChildren(...groups.filter(Boolean));
      if (offered.some((one) => one.name === chosen)) choice.value = chosen;
    }

    function cell(one, name) {
      return el(
        "div",
        { class: "rt-tried", "data-state": one.state },
        el("span", { class: "rt-tried-name rt-muted rt-small" }, name),
        el("span", { class: "rt-state rt-wrapping", "data-state": one.state }, icon(ICONS[one.state]), el("span", {}, one.text)),
        el("span", { class: "rt-muted rt-small" }, one.facts.join(" · "))
      );
    }

    function results(table) {
      const rows = table.rows.map((row) => [{}, row.prompt, ...row.cells.map((one, n) => cell(one, table.heads[n + 1]))]);
      found.replaceChildren(
        ...table.summaries.map((line) => el("p", { class: "rt-wrap rt-tried-summary" }, line)),
        el("div", { class: "rt-tried-table" }, RouterPage.table(table.heads, 9, rows))
      );
    }

    RouterPage.failing(host, (why, event) => {
      if (event === "refresh") return;
      said.textContent = why;
      said.dataset.kind = "problem";
    });

    return (value) => {
      if (value.table && value.trial !== trial) return; // of a key that was given before
      const asked = JSON.stringify(value.offered);
      if (asked !== JSON.stringify(known)) {
        known = value.offered;
        offer(known);
      }
      choose();
      form.hidden = !known.length;
      intro.textContent = value.barred || say(known.length ? "keys.intro" : "keys.none");
      if ("said" in value || "problem" in value || value.over) {
        said.textContent = value.problem || value.said || "";
        said.dataset.kind = value.problem ? "problem" : "";
      }
      if (value.table) results(value.table);
      if (value.over) keep.hidden = !value.usable;
      if (value.kept) {
        trial = "";
        keep.hidden = true;
      }
      if (value.begin) {
        trial = value.trial;
        trigger("compare", { trial });
      }
      host.dataset.ready = "true";
      host.dataset.over = String(Boolean(value.over));
    };
  };
})();
