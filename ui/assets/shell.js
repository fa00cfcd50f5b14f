// The frame of the page: the heading, what must be said before anything else, and the examples.
(() => {
  const { el, svg, icon, say } = RouterPage;
  const LOOK_MS = 10_000;

  function logo() {
    return svg(
      "svg",
      { class: "rt-logo", viewBox: "0 0 32 32", "aria-hidden": "true" },
      svg("rect", { width: 32, height: 32, rx: 8 }),
      svg("path", { d: "M7 16h5M12 16c4 0 3-6 7-6h2M12 16c4 0 3 6 7 6h2" }),
      ...[[7, 16], [24, 10], [24, 22]].map(([cx, cy]) => svg("circle", { cx, cy, r: 2.6 }))
    );
  }

  RouterPage.views.header = (host) => (value) => {
    host.replaceChildren(
      el(
        "header",
        { class: "rt-top" },
        logo(),
        el("h1", {}, value.title),
        el("p", { class: "rt-tagline" }, value.tagline),
        el(
          "button",
          {
            type: "button",
            class: "rt-theme",
            "aria-label": say("shell.switch_between_light"),
            title: say("shell.light_or_dark"),
            onclick: RouterPage.toggleTheme,
          },
          icon("theme")
        )
      ),
      ...value.notices.map((notice) =>
        el(
          "p",
          { class: "rt-notice", "data-kind": notice.kind },
          el("strong", {}, notice.title),
          ` ${notice.text}`
        )
      )
    );
  };

  RouterPage.views.examples = (host, trigger) => {
    document.addEventListener("router-asked", () => {
      const details = host.querySelector("details");
      if (details) details.open = false;
    });
    return (value) => {
      host.replaceChildren(
        el(
          "details",
          { class: "rt-examples", open: true },
          el("summary", {}, say("shell.examples")),
          el("div", { class: "rt-example-groups" }, ...value.categories.map((c) => group(c, trigger)), takeover(value.takeover, trigger))
        )
      );
    };
  };

  // Says when the service cannot be reached, and looks again until it can. A service that was
  // started anew knows nothing of this page's session: the page is loaded again, and has kept all.
  RouterPage.watchService = () => {
    const said = el("p", { class: "rt-offline rt-notice", role: "alert", hidden: true });
    document.body.append(said);
    let known = null;
    async function look() {
      if (document.hidden) return;
      try {
        const reply = await fetch("gradio_api/app_id", { cache: "no-store" });
        const { app_id: id } = await reply.json();
        if (known && id !== known) return location.reload();
        known = id;
        said.hidden = true;
      } catch {
        said.textContent = say("shell.the_service_cannot");
        said.hidden = false;
      }
    }
    setInterval(look, LOOK_MS);
    addEventListener("offline", look);
    addEventListener("online", look);
    look();
  };

  // What gradio's chat leaves unsaid, says too often to a screen reader, or shows as an error.
  RouterPage.mend = () => {
    const mend = () => {
      const log = document.querySelector('#talk [role="log"]');
      if (log?.getAttribute("aria-live") === "polite") log.setAttribute("aria-live", "off");
      for (const arrow of document.querySelectorAll("#talk .thought-group .arrow")) {
        arrow.setAttribute("aria-hidden", "true");
        const inner = arrow.querySelector("button"); // a button within a button
        if (inner) inner.disabled = true;
      }
      for (const list of document.querySelectorAll("#talk .prose :is(ul, ol):not([dir])")) list.dir = "auto";
      for (const error of document.querySelectorAll('#talk .mermaid svg[aria-roledescription="error"]'))
        undrawn(error.closest(".mermaid"));
    };
    const attributeFilter = ["aria-roledescription"];
    new MutationObserver(mend).observe(document.body, { childList: true, subtree: true, attributeFilter });
    mend();
  };

  // A diagram with a mistake in it is shown as its model wrote it, not as a picture of a bomb.
  const DIAGRAM = /^[ \t]*(`{3,}|~{3,})[ \t]*mermaid[^\n]*\n([^]*?)(?:^[ \t]*\1[ \t]*$|$(?![^]))/gm;
  function undrawn(place) {
    const row = place.closest(".bot-row");
    const text = row ? RouterPage.chats.turnOf(row)?.text || "" : "";
    const number = row ? [...row.querySelectorAll(".mermaid")].indexOf(place) : -1;
    const source = [...text.matchAll(DIAGRAM)][number]?.[2];
    const said = el("p", { class: "rt-muted rt-small" }, say("shell.diagram_with_a"));
    place.replaceChildren(said, source ? el("pre", {}, el("code", {}, source)) : "");
  }

  // Asked of a slow model, which is given so little time that the knowledge base takes over.
  function takeover(one, trigger) {
    const ask = () => trigger("select", { prompt: one.prompt, takeover: "yes" });
    return el(
      "section",
      {},
      el("h3", { title: say("shell.see_the_fallback") }, one.name),
      el("button", { type: "button", class: "rt-example rt-takeover", onclick: ask }, one.label)
    );
  }

  function group(category, trigger) {
    return el(
      "section",
      {},
      el("h3", { title: category.description }, category.name),
      ...category.prompts.map((prompt) =>
        el(
          "button",
          { type: "button", class: "rt-example", onclick: () => trigger("select", { prompt }) },
          prompt
        )
      )
    );
  }
})();
