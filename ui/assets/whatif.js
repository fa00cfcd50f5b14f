// What if the ranking had other weights: sliders, and the order and the bill of the last days under them.
(() => {
  const { el, nothing } = RouterPage;

  RouterPage.views.whatif = (host, trigger) => {
    const inputs = new Map();
    const days = el("select", { class: "rt-select", "aria-label": "Days to look back", onchange: ask });
    const controls = el("div", { class: "rt-sliders" });
    const said = el("p", { class: "rt-muted", role: "status" }, "Move a slider: nothing is changed by it.");
    const orders = el("div", {});
    const figures = el("div", {});
    host.replaceChildren(
      el("section", { class: "rt-stack" }, el("h2", {}, "What if"),
        el("p", { class: "rt-muted" }, "How the order and the bill of the last days would have been under other weights."),
        controls, el("label", {}, "Days ", days), said, orders, figures)
    );

    function ask() {
      const weights = [...inputs].map(([name, input]) => `${name}=${input.value}`).join(",");
      said.textContent = "Weighing the log\u2026";
      trigger("ask", { weights, days: days.value });
    }

    function offer(sliders, choices) {
      if (inputs.size) return;
      for (const one of sliders) {
        const shown = el("output", {}, one.value.toFixed(2));
        const input = el("input", { type: "range", min: 0, max: 1, step: 0.01, name: one.name, "aria-label": one.label });
        input.value = one.value;
        input.addEventListener("input", () => (shown.textContent = Number(input.value).toFixed(2)));
        input.addEventListener("change", ask);
        inputs.set(one.name, input);
        controls.append(el("label", { class: "rt-slider" }, el("span", {}, one.label), input, shown));
      }
      days.replaceChildren(...choices.map((value) => el("option", { value }, value)));
      days.value = choices[1];
    }

    return (value) => {
      if (!value) return;
      if (value.sliders) offer(value.sliders, value.days);
      if (value.problem) said.textContent = value.problem;
      if (!value.orders) return;
      said.textContent = value.missing ? `${value.counted} ${value.missing}` : value.counted;
      orders.replaceChildren(
        RouterPage.table(["Category", "Order as it was", "Order it would be"], 3,
          value.orders.map((one) => [{}, one.category, one.was, one.would]))
      );
      figures.replaceChildren(
        value.figures.length
          ? RouterPage.table(["A request", "As it was", "It would be", "95% interval"], 1,
              value.figures.map(([label, was, would, low, high]) => [{}, label, was, would, `${low} to ${high}`]))
          : nothing("Not enough data for figures.")
      );
    };
  };
})();
