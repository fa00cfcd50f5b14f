// The request's picture: what is happening in words, the graph, the figures, the waterfall and
// whatever of it was opened.
(() => {
  const { el, icon, say } = RouterPage;
  const PHASES = {
    idle: say("picture.ready"),
    running: say("picture.running"),
    done: say("picture.answered"),
    failed: say("picture.failed"),
    stopped: say("picture.stopped"),
  };

  let made = 0;

  const board = (name) =>
    [...document.querySelectorAll('#tabs [role="tab"], #tabs .overflow-dropdown button')].find((tab) => tab.textContent.trim() === name);

  // The board of comparisons with that prompt; it is drawn when it is first opened.
  function compare(prompt) {
    board(say("picture.compare")).click();
    RouterPage.address.go("compare");
    const fill = () => {
      const box = document.querySelector("#compare textarea");
      if (!box) return requestAnimationFrame(fill);
      box.value = prompt;
      box.focus();
    };
    fill();
  }

  RouterPage.views.picture = (host, trigger) => {
    const id = `rt-inspector-${(made += 1)}`;
    let value = null;
    let opened = null; // a node's name, or "route"
    let cameAt = 0;
    let frame = 0;

    const graph = RouterPage.graph((name) => open(name), id);
    const falls = RouterPage.waterfall();
    const phase = el("span", { class: "rt-phase" });
    const clock = el("span", { class: "rt-clock" });
    const request = el("button", {
      type: "button",
      class: "rt-id",
      title: say("picture.copy_the_request"),
      "aria-label": say("picture.copy_the_request"),
      hidden: true,
      onclick: copy,
    });
    const trace = el(
      "button",
      { type: "button", class: "rt-link rt-trace", hidden: true, onclick: copyTrace },
      say("picture.copy_trace")
    );
    const fork = el(
      "button",
      {
        type: "button",
        class: "rt-link rt-trace",
        hidden: true,
        title: say("picture.begin_a_conversation"),
        onclick: () => RouterPage.chats.fork(value.turn.number),
      },
      say("picture.fork_from_here")
    );
    const edit = el(
      "button",
      {
        type: "button",
        class: "rt-link rt-trace",
        hidden: true,
        title: say("picture.change_the_prompt"),
        onclick: () => editing(),
      },
      say("picture.edit_prompt")
    );
    const beside = el(
      "button",
      {
        type: "button",
        class: "rt-link rt-trace",
        hidden: true,
        title: say("picture.ask_it_again"),
        onclick: () => compare(value.prompt),
      },
      say("picture.ask_beside_others")
    );
    const example = el(
      "button",
      {
        type: "button",
        class: "rt-link rt-trace",
        hidden: true,
        title: say("picture.let_the_classifier"),
        onclick: () => {
          trigger("select", { request_id: value.id, category: category().value });
          live.textContent = say("picture.prompts_like_this", { category: category().value });
          example.replaceChildren(say("picture.example_made"), icon("done"));
        },
      },
      say("picture.make_an_example")
    );
    const probe = el(
      "button",
      {
        type: "button",
        class: "rt-link rt-trace rt-make-probe",
        hidden: true,
        title: RouterPage.say("probes.open_hint"),
        onclick: () => {
          const detail = { id: value.id, prompt: value.prompt || "", category: category()?.value || "" };
          document.dispatchEvent(new CustomEvent("router-probe", { detail }));
        },
      },
      RouterPage.say("probes.open")
    );
    document.addEventListener("router-may-probe", () => value && name());
    const found = RouterPage.passages();
    const said = RouterPage.said();
    const badges = el("div", { class: "rt-badges" });
    const notes = el("ul", { class: "rt-notes" });
    const panel = el("section", {
      class: "rt-inspector",
      id,
      tabindex: "-1",
      "aria-label": say("picture.details"),
      hidden: true,
    });
    const editor = el("form", { class: "rt-editor", hidden: true, onsubmit: send });
    const live = el("div", { class: "rt-sr", role: "status", "aria-live": "polite" });
    host.append(
      el("header", { class: "rt-head" }, el("h2", {}, say("picture.what_happens")), phase, request, trace, edit, fork, beside, example, probe, clock),
      editor,
      said.root,
      graph.root,
      notes,
      found.root,
      badges,
      panel,
      el("h3", { class: "rt-caption" }, say("picture.calls")),
      falls.root,
      live
    );

    function open(what) {
      opened = opened === what ? null : what;
      draw();
      if (opened) panel.scrollIntoView({ block: "nearest" });
    }

    let inspected = "";
    function inspect() {
      const key = opened ? `${opened}|${JSON.stringify([value.nodes, value.route])}` : "";
      if (key === inspected) return;
      inspected = key;
      panel.hidden = !opened;
      if (!opened) return panel.replaceChildren();
      const close = el(
        "button",
        { type: "button", class: "rt-close", "aria-label": say("picture.close"), onclick: () => open(opened) },
        icon("close")
      );
      const shown =
        opened === "route" ? RouterPage.inspectRoute(value) : RouterPage.inspectNode(value, opened);
      panel.replaceChildren(close, ...shown);
    }

    let badged = "";
    function figures() {
      const key = JSON.stringify([value.badges, opened === "route"]);
      if (key === badged) return;
      badged = key;
      badges.replaceChildren(...(value.badges || []).map(badge));
    }

    function badge(one) {
      const label = el("span", { class: "rt-badge-label" }, one.label);
      const shown = el("span", { class: "rt-badge-value", title: one.value }, one.value);
      const note = el("span", { class: "rt-badge-note", title: one.note }, one.note);
      const attributes = { class: "rt-badge", "data-badge": one.name, "data-kind": one.kind };
      if (one.name === "category" && value.route && one.choices && one.choices.length)
        return el("div", attributes, label, menu(one), detail(note));
      if (one.name === "category" && value.route)
        return el(
          "button",
          {
            ...attributes,
            type: "button",
            "aria-expanded": String(opened === "route"),
            "aria-controls": id,
            onclick: () => open("route"),
          },
          label,
          shown,
          note
        );
      return el("div", attributes, label, shown, note);
    }

    // What the prompt is: choosing another category corrects the classifier.
    function menu(one) {
      const names = one.choices.includes(one.value) ? one.choices : [one.value, ...one.choices];
      const asked = value.id;
      return el(
        "select",
        {
          class: "rt-badge-menu",
          "aria-label": say("picture.category_choose_another"),
          title: say("picture.choose_another_category"),
          onchange: (event) => {
            trigger("select", { request_id: asked, category: event.target.value });
            live.textContent = say("picture.corrected_the_next", { target: event.target.value });
          },
        },
        ...names.map((name) =>
          el("option", name === one.value ? { value: name, selected: "" } : { value: name }, name)
        )
      );
    }

    function detail(note) {
      const attributes = {
        type: "button",
        class: "rt-badge-why",
        "aria-expanded": String(opened === "route"),
        "aria-controls": id,
        onclick: () => open("route"),
      };
      return el("button", attributes, note);
    }

    // The prompt of the turn that is shown, to be changed and asked in its place.
    function editing() {
      const box = el("textarea", { class: "rt-search", rows: 3, "aria-label": say("picture.the_prompt") });
      box.value = value.turn.prompt;
      box.addEventListener("keydown", (event) => {
        if (event.key === "Escape") close();
        if (event.key !== "Enter" || event.shiftKey) return;
        event.preventDefault();
        send(event);
      });
      const close = () => ((editor.hidden = true), edit.focus());
      editor.dataset.id = value.id;
      editor.replaceChildren(
        box,
        el("button", { class: "rt-button" }, say("picture.ask_again")),
        el("button", { type: "button", class: "rt-button", onclick: close }, say("picture.cancel"))
      );
      editor.hidden = false;
      box.focus();
    }

    function send(event) {
      event.preventDefault();
      const prompt = editor.querySelector("textarea").value;
      if (!prompt.trim()) return;
      trigger("edit", { request_id: editor.dataset.id, prompt });
      editor.hidden = true;
    }

    function category() {
      return (value.badges || []).find((one) => one.name === "category");
    }

    async function copy() {
      await navigator.clipboard.writeText(value.id);
      live.textContent = say("picture.the_request_id");
      request.replaceChildren("copied", icon("done"));
    }

    async function copyTrace() {
      const { turn, ...story } = value;
      await navigator.clipboard.writeText(JSON.stringify({ ...turn, ...story }, null, 2));
      live.textContent = say("picture.the_trace_was");
    }

    function name() {
      request.hidden = !value.id;
      trace.hidden = !value.id || value.phase === "running";
      fork.hidden = trace.hidden || !value.turn || !host.closest("#picture");
      edit.hidden = fork.hidden;
      beside.hidden = trace.hidden || !value.prompt || !board(say("picture.compare"));
      example.hidden = trace.hidden || !value.prompt || !category()?.choices?.length;
      const may = document.querySelector("#probe .rt-view")?.dataset.may === "true";
      probe.hidden = trace.hidden || !may || !host.closest("#replay");
      if (edit.hidden || editor.dataset.id !== value.id) editor.hidden = true;
      if (request.dataset.id === value.id) return;
      request.dataset.id = value.id;
      example.replaceChildren(say("picture.make_an_example"));
      request.replaceChildren(value.id.slice(0, 8), icon("copy"));
    }

    let noted = "";
    function explain() {
      const key = JSON.stringify([value.notes, value.reranked]);
      if (key === noted) return;
      noted = key;
      const lines = (value.notes || []).map((note) => note.text);
      if (value.reranked)
        lines.push(say("picture.new_order_for", { category: value.reranked.category, after: value.reranked.after.join(", ") }));
      notes.replaceChildren(...lines.map((text) => el("li", {}, text)));
      notes.hidden = !lines.length;
    }

    function now() {
      if (value.phase !== "running") return value.at_ms;
      return value.at_ms + (performance.now() - cameAt);
    }

    function draw() {
      host.dataset.phase = value.phase;
      host.dataset.request = value.id;
      phase.textContent = PHASES[value.phase];
      phase.dataset.phase = value.phase;
      graph.draw(value, opened);
      name();
      figures();
      found.draw(value);
      said.draw(value);
      explain();
      inspect();
      tick();
    }

    // Twenty times a second is smooth for bars; the browser stops it in a tab that is not seen.
    let last = 0;
    function tick(stamp = performance.now()) {
      cancelAnimationFrame(frame);
      if (stamp - last > 45 || value.phase !== "running") {
        last = stamp;
        const at = now();
        falls.draw(value, at);
        clock.textContent = value.phase === "idle" ? "" : `${(at / 1000).toFixed(1)} s`;
      }
      if (value.phase === "running" && host.isConnected) frame = requestAnimationFrame(tick);
    }

    // Somewhat after the answer: gradio may lose an event that comes as another one ends.
    let awaited = null;
    function wait() {
      if (!value.awaited || awaited === value.id) return;
      awaited = value.id;
      const about = { request_id: value.id };
      setTimeout(() => trigger("late", about), 300);
    }

    RouterPage.failing(host, (said, event) => {
      if (event !== "select") return;
      live.textContent = said;
      badged = "";
      figures();
    });

    return (next, wish) => {
      // A correction of a turn that is not shown any more.
      if (wish.id === "picture" && wish.event === "select" && next.id !== value.id) return;
      if (next.phase === "running") document.dispatchEvent(new Event("router-asked"));
      if (value === null || next.id !== value.id) opened = opened && next.id ? opened : null;
      value = next;
      if (next.turn && host.closest("#picture")) RouterPage.chats.note(next.turn);
      cameAt = performance.now();
      if (live.textContent !== value.say) live.textContent = value.say;
      draw();
      wait();
    };
  };
})();
