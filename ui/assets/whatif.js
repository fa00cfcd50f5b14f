// What if the ranking had other weights: sliders, and the order and the bill of the last days under them.
(() => {
  const { el, nothing, say } = RouterPage;

  RouterPage.views.whatif = (host, trigger) => {
    const inputs = new Map();
    const days = el("select", { class: "rt-select", "aria-label": say("whatif.days_to_look"), onchange: ask });
    const controls = el("div", { class: "rt-sliders" });
    const said = el("p", { class: "rt-muted", role: "status" }, say("whatif.move_a_slider"));
    const orders = el("div", {});
    const figures = el("div", {});
    host.replaceChildren(
      el("section", { class: "rt-stack" }, el("h2", {}, say("whatif.what_if")),
        el("p", { class: "rt-muted" }, say("whatif.how_the_order")),
        controls, el("label", {}, "Days ", days), said, orders, figures)
    );

    function ask() {
      const weights = [...inputs].map(([name, input]) => `${name}=${input.value}`).join(",");
      said.textContent = say("whatif.weighing_the_log");
      trigger.newest("ask", { weights, days: days.value });
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

    RouterPage.failing(host, (why) => (said.textContent = why));

    return (value) => {
      if (value.sliders) offer(value.sliders, value.days);
      if (value.problem) said.textContent = value.problem;
      if (!value.orders) return;
      said.textContent = value.missing ? `${value.counted} ${value.missing}` : value.counted;
      orders.replaceChildren(
        RouterPage.table([say("whatif.category"), say("whatif.order_as_it"), say("whatif.order_it_would")], 3,
          value.orders.map((one) => [{}, one.category, one.was, one.would]))
      );
      figures.replaceChildren(
        value.figures.length
          ? RouterPage.table([say("whatif.a_request"), say("whatif.as_it_was"), say("whatif.it_would_be"), say("compare.interval")], 1,
              value.figures.map(([label, was, would, low, high]) => [{}, label, was, would, say("whatif.to", { low, high })]))
          : nothing(say("whatif.not_enough_data"))
      );
    };
  };
})();
