// For each category the learned order as bars with their intervals, and how they came to be.
(() => {
  const { el, svg, icon, provider, nothing, glide, say } = RouterPage;
  const HUES = 6;

  RouterPage.views.priorities = (host) => {
    const cards = new Map();
    let hues = new Map();

    function card(name) {
      const rows = el("ol", { class: "rt-ranks" });
      const facts = el("p", { class: "rt-muted" });
      const why = el("p", { class: "rt-why" });
      const plot = el("div", { class: "rt-plot" });
      const root = el(
        "section",
        { class: "rt-card rt-ranking", "data-category": name },
        el("header", {}, el("h2", {}, name), facts),
        rows,
        why,
        plot
      );
      host.append(root);
      return { root, rows, facts, why, plot, entries: new Map() };
    }

    function row(part, entry) {
      const item = el("li", { class: "rt-rank", "data-provider": entry.provider });
      part.rows.append(item);
      return item;
    }

    function fill(item, entry) {
      const at = (share) => `${(share * 100).toFixed(1)}%`;
      const rise = entry.rise > 0 ? "up" : entry.rise < 0 ? "down" : null;
      item.dataset.hue = hues.get(entry.provider) % HUES;
      item.replaceChildren(
        el("span", { class: "rt-place" }, entry.place),
        el(
          "div",
          { class: "rt-rank-head" },
          provider(entry.provider, entry.kind, entry.mark),
          entry.trial ? el("span", { class: "rt-mark" }, say("priorities.on_trial", { trial: entry.trial })) : null,
          rise
            ? el(
                "span",
                { class: `rt-rise rt-rise-${rise}`, title: say("priorities.declared_at_place", { declared: entry.declared }) },
                icon(rise),
                say("priorities.from_place", { declared: entry.declared })
              )
            : el("span", { class: "rt-muted rt-small" }, say("priorities.as_declared"))
        ),
        el(
          "span",
          { class: "rt-mean", title: say("priorities.90_interval_to", { low: at(entry.low), high: at(entry.high) }) },
          el("strong", {}, entry.mean.toFixed(2)),
          el("span", { class: "rt-muted" }, `  n = ${Math.round(entry.n)}`)
        ),
        el(
          "div",
          { class: "rt-rank-bar", "aria-hidden": "true" },
          el("span", { class: "rt-rank-fill", style: { width: at(entry.mean) } }),
          el("span", {
            class: "rt-rank-interval",
            style: { left: at(entry.low), width: at(Math.max(0, entry.high - entry.low)) },
          })
        ),
        el(
          "dl",
          { class: "rt-figures" },
          ...entry.figures.map(([name, said]) => el("div", {}, el("dt", {}, name), el("dd", {}, said)))
        )
      );
    }

    function show(part, category) {
      const count = category.observations;
      const changes = category.changes;
      part.facts.textContent =
        `${say(count === 1 ? "priorities.one_observation" : "priorities.observations", { count })}, ` +
        say(changes === 1 ? "priorities.one_change" : "priorities.changes", { changes });
      part.why.textContent = category.why || say("priorities.the_declared_order");
      const names = new Set(category.entries.map((e) => e.provider));
      for (const [name, item] of part.entries)
        if (!names.has(name)) {
          item.remove();
          part.entries.delete(name);
        }
      glide([...part.entries.values()], () => {
        for (const entry of category.entries) {
          let item = part.entries.get(entry.provider);
          if (!item) part.entries.set(entry.provider, (item = row(part, entry)));
          fill(item, entry);
          part.rows.append(item);
        }
      });
      part.plot.replaceChildren(course(category));
    }

    function course(category) {
      const points = category.course;
      if (points.length < 2) return nothing(say("priorities.the_course_of"));
      const names = category.entries.map((e) => e.provider);
      const means = points.flatMap((p) => names.map((n) => p.means[n]).filter((m) => m !== undefined));
      const low = Math.max(0, Math.floor(Math.min(...means) * 10 - 0.3) / 10);
      const high = Math.min(1, Math.ceil(Math.max(...means) * 10 + 0.3) / 10);
      const [width, height] = [560, 150];
      const [first, last] = [points[0].at, points[points.length - 1].at];
      const x = (at) => (last > first ? ((at - first) / (last - first)) * width : 0);
      const y = (mean) => height - ((mean - low) / (high - low)) * height;
      const lines = names.map((name) => {
        const mine = points.filter((p) => p.means[name] !== undefined);
        const d = mine.map((p, i) => `${i ? "L" : "M"}${x(p.at).toFixed(1)} ${y(p.means[name]).toFixed(1)}`);
        return svg("path", { class: "rt-course", d: d.join(""), "data-hue": hues.get(name) % HUES });
      });
      const levels = [0, 0.25, 0.5, 0.75, 1].map((share) => low + share * (high - low));
      const grid = levels.map((v) => svg("path", { class: "rt-grid", d: `M0 ${y(v)}H${width}` }));
      const scale = [low, high].map((v) =>
        el("span", { style: { top: `${(y(v) / height) * 100}%` } }, v.toFixed(1))
      );
      return el(
        "figure",
        {},
        el("figcaption", { class: "rt-muted rt-small" }, say("priorities.mean_reward_since", { first: when(first) })),
        el(
          "div",
          { class: "rt-plane" },
          svg(
            "svg",
            {
              viewBox: `0 0 ${width} ${height}`,
              preserveAspectRatio: "none",
              role: "img",
              "aria-label": say("priorities.mean_reward_of", { names: names.join(", ") }),
            },
            ...grid,
            ...lines
          ),
          ...scale
        ),
        el(
          "ul",
          { class: "rt-legend" },
          ...names.map((name) => el("li", { "data-hue": hues.get(name) % HUES }, name))
        )
      );
    }

    return (value) => {
      for (const category of value.categories)
        for (const entry of category.entries)
          if (!hues.has(entry.provider)) hues.set(entry.provider, hues.size);
      for (const category of value.categories) {
        let part = cards.get(category.name);
        if (!part) cards.set(category.name, (part = card(category.name)));
        show(part, category);
      }
      for (const [name, part] of cards)
        if (!value.categories.some((c) => c.name === name)) {
          part.root.remove();
          cards.delete(name);
        }
      host.dataset.ready = "true";
    };
  };

  function when(at) {
    return new Date(at * 1000).toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" });
  }
})();
