// A model that is added: filled in, seen as a difference, made, taken back.
(() => {
  const { el, say } = RouterPage;
  const FIELDS = [
    ["name", "name_hint"],
    ["address", "address_hint"],
    ["model", "model_hint"],
    ["variable", "variable_hint"],
    ["input", "price_hint"],
    ["output", "price_hint"],
    ["reason", "reason_hint"],
  ];

  RouterPage.views.add = (host, trigger) => {
    const boxes = {};
    const place = el("select", { class: "rt-select" }, ...["first", "last"].map((one) => el("option", { value: one }, say(`add.${one}`))));
    const fields = FIELDS.map(([name, hint]) => {
      const numeric = name === "input" || name === "output";
      boxes[name] = el("input", {
        class: "rt-search",
        autocomplete: "off",
        spellcheck: "false",
        inputmode: numeric ? "decimal" : name === "address" ? "url" : "text",
        placeholder: say(`add.${hint}`),
        oninput: stale,
      });
      return el("label", {}, el("span", { class: "rt-small" }, say(`add.${name}`)), boxes[name]);
    });
    fields.splice(6, 0, el("label", {}, el("span", { class: "rt-small" }, say("add.place")), place));
    const diff = el("pre", { class: "rt-diff", tabindex: "0", "aria-label": say("add.difference"), hidden: true });
    let looked = null; // what the difference is of: only that is made
    const make = button(say("add.make"), () => trigger("make", looked));
    const said = el("p", { class: "rt-wrap", role: "status" });
    const form = el(
      "details",
      { class: "rt-card rt-stack rt-unset" },
      el("summary", {}, el("h2", {}, say("add.title"))),
      el("div", { class: "rt-stack" },
        el("p", { class: "rt-muted" }, say("add.intro")),
        el("form", { class: "rt-stack", onsubmit: look },
          el("div", { class: "rt-fields" }, ...fields),
          el("div", { class: "rt-row" }, el("button", { class: "rt-button" }, say("add.look")),
            button(say("add.undo"), () => trigger("undo", {})))),
        said, diff, el("div", { class: "rt-row" }, make))
    );
    place.addEventListener("change", stale);
    host.replaceChildren(form);
    make.hidden = true;

    function button(label, onclick) {
      return el("button", { type: "button", class: "rt-button", onclick }, label);
    }

    function sent() {
      const filled = Object.entries(boxes).map(([name, box]) => [name, box.value]);
      return { ...Object.fromEntries(filled), place: place.value };
    }

    function look(event) {
      event.preventDefault();
      looked = sent();
      trigger("look", looked);
    }

    // What was seen is not what would be made any more.
    function stale() {
      looked = null;
      diff.hidden = make.hidden = true;
    }

    RouterPage.failing(host, (why, event) => {
      if (event === "refresh") return;
      said.textContent = why;
      said.dataset.kind = "problem";
    });

    return (value) => {
      form.hidden = !value.may;
      if ("said" in value || "problem" in value || value.lines) {
        said.textContent = value.problem || value.said || "";
        said.dataset.kind = value.problem ? "problem" : "";
        diff.replaceChildren(...(value.lines || []).map(RouterPage.differing));
        diff.hidden = make.hidden = !looked || !value.lines?.length;
      }
      if (value.made) for (const box of Object.values(boxes)) box.value = "";
      host.dataset.ready = "true";
    };
  };
})();
