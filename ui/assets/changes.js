// One value of the configuration at a time: chosen, changed, seen as a difference, made, taken back.
(() => {
  const { el, icon, say } = RouterPage;

  // A list that is put in order by dragging, or by its buttons.
  function order(names, changed) {
    const list = el("ol", { class: "rt-sortable", "aria-label": say("changes.order_best_first") });
    let held = null;
    for (const name of names) {
      const move = (by) => () => {
        const other = by < 0 ? item.previousElementSibling : item.nextElementSibling;
        if (other) by < 0 ? other.before(item) : other.after(item);
        changed();
      };
      const step = (by, label) =>
        el(
          "button",
          { type: "button", class: "rt-step", "aria-label": `${label}: ${name}`, onclick: move(by) },
          icon(by < 0 ? "up" : "down")
        );
      const item = el(
        "li",
        {
          draggable: "true",
          "data-name": name,
          ondragstart: (event) => {
            held = item;
            event.dataTransfer.effectAllowed = "move";
          },
          ondragover: (event) => {
            event.preventDefault();
            if (!held || held === item) return;
            const box = item.getBoundingClientRect();
            event.clientY > box.top + box.height / 2 ? item.after(held) : item.before(held);
            changed();
          },
          ondrop: (event) => event.preventDefault(),
        },
        el("span", { class: "rt-wrap" }, name),
        step(-1, say("changes.up")),
        step(1, say("changes.down"))
      );
      list.append(item);
    }
    return { root: list, value: () => [...list.children].map((item) => item.dataset.name) };
  }

  function field(one) {
    const box = el("input", {
      class: "rt-search",
      inputmode: one.kind === "text" ? "text" : "decimal",
      "aria-label": say("changes.new_value"),
      placeholder: say("changes.empty_the_default"),
    });
    box.value = one.value ?? "";
    return { root: box, value: () => box.value };
  }

  RouterPage.views.changes = (host, trigger) => {
    let known = [];
    let key = "";
    let edited = null;
    const choice = el("select", {
      class: "rt-select",
      "aria-label": say("changes.what_to_change"),
      onchange: () => choose(choice.value),
    });
    const note = el("p", { class: "rt-muted rt-small" });
    const place = el("div", {});
    const reason = el("input", { class: "rt-search", "aria-label": say("changes.reason"), placeholder: say("changes.why_the_reason") });
    const difference = RouterPage.difference(host, trigger, {
      label: say("changes.the_difference"),
      make: say("changes.make_this_change"),
      sent,
    });
    const form = el(
      "form",
      { class: "rt-stack", onsubmit: difference.look, oninput: difference.stale },
      choice, note, place, reason,
      el("div", { class: "rt-row" }, el("button", { class: "rt-button" }, say("changes.show_the_difference")),
        button(say("changes.undo_the_last"), () => trigger("undo", {}))),
      difference.root, el("div", { class: "rt-row" }, difference.make)
    );
    const barred = el("p", { class: "rt-muted" }, say("changes.changes_can_be"));
    host.replaceChildren(
      el("section", { class: "rt-card rt-stack" }, el("h2", {}, say("changes.change_the_configuration")), barred, form, difference.said)
    );

    function button(label, onclick) {
      return el("button", { type: "button", class: "rt-button", onclick }, label);
    }

    function sent() {
      return { key, value: edited.value(), reason: reason.value };
    }

    function choose(wanted) {
      const one = known.find((s) => s.key === wanted) || known[0];
      key = choice.value = one.key;
      edited = one.kind === "order" ? order(one.value, difference.stale) : field(one);
      note.textContent = one.note;
      place.replaceChildren(edited.root);
      difference.stale();
    }

    function offer() {
      const groups = new Map();
      for (const one of known) {
        if (!groups.has(one.group)) groups.set(one.group, el("optgroup", { label: one.group }));
        groups.get(one.group).append(el("option", { value: one.key }, one.key.split("/").slice(1).join(" · ")));
      }
      choice.replaceChildren(...groups.values());
    }

    return (value) => {
      form.hidden = !value.may;
      barred.hidden = value.may;
      const asked = JSON.stringify(value.settings);
      const changed = asked !== JSON.stringify(known);
      known = value.settings;
      if (changed) offer();
      // What somebody is writing stays, until it is made or the file says something else.
      if (changed || value.made) choose(key);
      if (value.made) reason.value = "";
      difference.show(value);
      host.dataset.ready = "true";
    };
  };
})();
