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
    const difference = RouterPage.difference(host, trigger, { label: say("add.difference"), make: say("add.make"), sent });
    const fields = FIELDS.map(([name, hint]) => {
      const numeric = name === "input" || name === "output";
      boxes[name] = el("input", {
        class: "rt-search",
        autocomplete: "off",
        spellcheck: "false",
        inputmode: numeric ? "decimal" : name === "address" ? "url" : "text",
        placeholder: say(`add.${hint}`),
        oninput: difference.stale,
      });
      return el("label", {}, el("span", { class: "rt-small" }, say(`add.${name}`)), boxes[name]);
    });
    fields.splice(6, 0, el("label", {}, el("span", { class: "rt-small" }, say("add.place")), place));
    const form = el(
      "details",
      { class: "rt-card rt-stack rt-unset" },
      el("summary", {}, el("h2", {}, say("add.title"))),
      el("div", { class: "rt-stack" },
        el("p", { class: "rt-muted" }, say("add.intro")),
        el("form", { class: "rt-stack", onsubmit: difference.look },
          el("div", { class: "rt-fields" }, ...fields),
          el("div", { class: "rt-row" }, el("button", { class: "rt-button" }, say("add.look")),
            button(say("add.undo"), () => trigger("undo", {})))),
        difference.said, difference.root, el("div", { class: "rt-row" }, difference.make))
    );
    place.addEventListener("change", difference.stale);
    host.replaceChildren(form);

    function button(label, onclick) {
      return el("button", { type: "button", class: "rt-button", onclick }, label);
    }

    function sent() {
      const filled = Object.entries(boxes).map(([name, box]) => [name, box.value]);
      return { ...Object.fromEntries(filled), place: place.value };
    }

    return (value) => {
      form.hidden = !value.may;
      difference.show(value);
      if (value.made) for (const box of Object.values(boxes)) box.value = "";
      host.dataset.ready = "true";
    };
  };
})();
