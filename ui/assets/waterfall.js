// All attempts of a request on one time axis. While the request runs, the bars grow by the
// browser's own clock, so that a silent upstream is seen to be silent.
(() => {
  const { el, icon, provider, nothing, say } = RouterPage;
  const WORDS = {
    running: "running",
    ok: "done",
    failed: "failed",
    timed_out: "late",
    late: "late",
    cancelled: "cancelled",
    skipped: "skipped",
  };

  RouterPage.waterfall = () => {
    const list = el("ol", { class: "rt-falls" });
    const axis = el("div", { class: "rt-axis", "aria-hidden": "true" });
    const lines = el("div", { class: "rt-lines", "aria-hidden": "true" });
    const root = el("div", { class: "rt-waterfall" }, lines, list, axis);
    const rows = new Map();
    let shown = "";
    let id = null;

    function row(attempt) {
      const label = el("div", { class: "rt-fall-label" });
      const wait = el("span", { class: "rt-bar-wait" });
      const flow = el("span", { class: "rt-bar-flow" });
      const tick = el("span", { class: "rt-bar-tick" });
      const track = el("div", { class: "rt-track", "aria-hidden": "true" }, wait, flow, tick);
      const figures = el("div", { class: "rt-fall-figures" });
      const item = el("li", { class: "rt-fall" }, label, track, figures);
      list.append(item);
      return { item, label, wait, flow, tick, figures, drawn: "" };
    }

    function describe(part, attempt) {
      const key = JSON.stringify([attempt.outcome, attempt.ended, attempt.cost, attempt.served]);
      if (part.drawn === key) return;
      part.drawn = key;
      const state = WORDS[attempt.outcome] || "waiting";
      part.item.dataset.state = state;
      part.item.dataset.role = attempt.role;
      part.item.dataset.served = String(Boolean(attempt.served));
      part.label.replaceChildren(
        icon(state),
        provider(attempt.provider, attempt.kind, attempt.mark),
        el("span", { class: "rt-role" }, attempt.role)
      );
      part.figures.replaceChildren(
        el("span", { class: "rt-said" }, attempt.ended),
        el("span", { class: "rt-cost" }, attempt.cost || "\u00a0")
      );
      part.item.title = attempt.detail || "";
    }

    function place(part, attempt, now, span) {
      const at = (ms) => `${Math.max(0, Math.min(100, (ms / span) * 100))}%`;
      const end = attempt.ended_ms ?? Math.max(now, attempt.started_ms);
      const first = attempt.first_ms ?? end;
      part.wait.style.left = at(attempt.started_ms);
      part.wait.style.right = `calc(100% - ${at(Math.min(first, end))})`;
      part.flow.style.left = at(Math.min(first, end));
      part.flow.style.right = `calc(100% - ${at(end)})`;
      part.flow.hidden = attempt.first_ms === null;
      part.tick.hidden = attempt.first_ms === null;
      part.tick.style.left = at(first);
    }

    function draw(value, now) {
      if (value.id !== id) {
        id = value.id;
        shown = "";
        rows.clear();
        list.replaceChildren();
      }
      if (!value.attempts.length) {
        if (shown !== "none") {
          shown = "none";
          list.replaceChildren(el("li", {}, nothing(say("waterfall.no_model_was"))));
          axis.replaceChildren();
          lines.replaceChildren();
        }
        return;
      }
      if (shown === "none") list.replaceChildren();
      const ends = value.attempts.map((a) => a.ended_ms ?? now);
      const most = Math.max(now, ...ends, 50);
      const limits = value.limits || {};
      const reach = limits.ttft_ms && limits.ttft_ms < most * 2.5 ? limits.ttft_ms * 1.06 : 0;
      const span = nice(Math.max(most * 1.02, reach));
      for (const attempt of value.attempts) {
        let part = rows.get(attempt.seq);
        if (!part) rows.set(attempt.seq, (part = row(attempt)));
        describe(part, attempt);
        place(part, attempt, now, span);
      }
      scale(span, limits);
    }

    function scale(span, limits) {
      const key = `${span}|${limits.ttft_ms}|${limits.deadline_ms}`;
      if (key === shown) return;
      shown = key;
      const step = nice(span) / 4;
      const ticks = [0, 1, 2, 3, 4].map((n) => n * step).filter((t) => t <= span * 1.001);
      axis.replaceChildren(
        ...ticks.map((t) =>
          el("span", { class: "rt-axis-tick", style: { left: `${(t / span) * 100}%` } }, time(t))
        )
      );
      lines.replaceChildren(
        ...line("limit", limits.ttft_ms, say("waterfall.first_word_by", { ttft_s: time((limits.ttft_s || 0) * 1000) }), span),
        ...line("deadline", limits.deadline_ms, say("waterfall.deadline", { deadline_ms: time(limits.deadline_ms) }), span)
      );
      lines.hidden = !lines.children.length;
    }

    function line(kind, at, text, span) {
      const seen = at && at <= span;
      root.toggleAttribute(`data-${kind}`, Boolean(seen));
      if (!seen) return [];
      const left = `${(at / span) * 100}%`;
      root.style.setProperty(`--rt-${kind}`, left);
      const side = at > span * 0.6 ? "left" : "right";
      return [
        el("span", { class: `rt-line-label rt-line-${kind}`, "data-side": side, style: { left } }, text),
      ];
    }

    return { root, draw };
  };

  // The next of 1, 2, 4, 8 × 10^n that quarters well.
  function nice(ms) {
    const power = 10 ** Math.floor(Math.log10(ms));
    for (const n of [1, 1.2, 1.6, 2, 2.4, 3.2, 4, 5, 6, 8, 10]) if (n * power >= ms) return n * power;
    return 10 * power;
  }

  function time(ms) {
    if (ms === undefined || ms === null) return "";
    return ms < 1000 ? say("waterfall.ms", { ms: Math.round(ms) }) : `${Number((ms / 1000).toFixed(2))} s`;
  }
})();
