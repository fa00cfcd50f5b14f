// Makes the request that is open in the Log a probe of its category: seen as a difference first.
(() => {
  const { el, say } = RouterPage;

  RouterPage.views.probe = (host, trigger) => {
    let about = null; // the request: {id, prompt, category}
    let known = null;
    const box = (tag, more = {}) => el(tag, { class: "rt-search", ...more });
    const prompt = box("textarea", { rows: 4 });
    const category = box("select", { class: "rt-select" });
    const kind = box("select", { class: "rt-select" });
    const expected = box("input");
    const level = box("select", { class: "rt-select" });
    const reason = box("input", { placeholder: say("probes.reason_hint") });
    const difference = RouterPage.difference(host, trigger, {
      label: say("probes.difference"),
      make: say("probes.make"),
      sent,
      more: () => ({ reason: reason.value }),
    });
    const undo = button("undo", () => trigger("undo", {}));
    const form = el(
      "form",
      { class: "rt-stack", onsubmit: difference.look, oninput: (event) => event.target === reason || difference.stale() },
      el("p", { class: "rt-muted rt-small" }, say("probes.intro")),
      ...Object.entries({ prompt, category, check: kind, expected, level, reason }).map(field),
      el("div", { class: "rt-row" }, el("button", { class: "rt-button" }, say("probes.look")), undo, button("close", close)),
      difference.root, el("div", { class: "rt-row" }, difference.make)
    );
    const card = el("section", { class: "rt-card rt-stack", hidden: true }, el("h2", {}, say("probes.title")), form, difference.said);
    host.replaceChildren(card);

    function field([name, one]) {
      return el("label", { class: "rt-field" }, el("span", { class: "rt-small" }, say(`probes.${name}`)), one);
    }

    function button(name, onclick) {
      return el("button", { type: "button", class: "rt-button", onclick }, say(`probes.${name}`));
    }

    function sent() {
      const values = { prompt, category, kind, expected, level, reason };
      const given = Object.fromEntries(Object.entries(values).map(([name, one]) => [name, one.value]));
      return { ...given, request_id: about.id };
    }

    function close() {
      about = null;
      card.hidden = true;
      document.querySelector("#replay .rt-make-probe")?.focus();
    }

    function offer(select, choices) {
      if (select.options.length === choices.length) return;
      select.replaceChildren(...choices.map(([value, label]) => el("option", { value }, label)));
    }

    document.addEventListener("router-probe", (event) => {
      about = event.detail;
      prompt.value = about.prompt;
      prompt.placeholder = about.prompt ? "" : say("probes.pasted");
      category.value = about.category;
      expected.value = reason.value = difference.said.textContent = "";
      difference.stale();
      card.hidden = false;
      card.scrollIntoView({ block: "nearest" });
      (about.prompt ? expected : prompt).focus({ preventScroll: true });
    });

    return (value) => {
      known = value;
      host.dataset.may = String(known.may);
      document.dispatchEvent(new CustomEvent("router-may-probe", { detail: known.may }));
      offer(category, known.categories.map((name) => [name, name]));
      offer(kind, known.kinds.map((one) => [one.kind, one.label]));
      offer(level, known.levels.map((name) => [name, say(`probes.${name}`)]));
      if (level.dataset.set !== "true") [level.value, level.dataset.set] = ["medium", "true"];
      if (about && !category.value) category.value = about.category;
      difference.show(value);
    };
  };
})();
