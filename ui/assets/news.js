// What the router changed on its own: a line in the corner when it happens, a list on its board.
(() => {
  const { el, icon, provider, nothing, say } = RouterPage;
  const ASK_MS = 4000;
  const SHOWN_MS = 15000;
  const MOST = 3;

  // A page that was open before it happened says it wherever the reader is; what happened earlier
  // is on the board.
  RouterPage.views.news = (host, trigger) => {
    const shelf = el("div", { class: "rt-view rt-toasts", role: "status", "aria-live": "polite" });
    (document.querySelector(".gradio-container") || document.body).append(shelf);
    let known = null;
    let newest = "";
    const ask = () => document.hidden || trigger("news", { newest });
    requestAnimationFrame(ask);
    setInterval(ask, ASK_MS);

    function toast(one) {
      const close = el(
        "button",
        { type: "button", class: "rt-close", "aria-label": say("news.close"), onclick: () => part.remove() },
        icon("close")
      );
      const part = el("section", { class: "rt-card rt-toast", "data-news": one.id }, line(one), close);
      const leave = () => (part.matches(":hover, :focus-within") ? later() : part.remove());
      const later = () => setTimeout(leave, SHOWN_MS);
      later();
      return part;
    }

    return (value) => {
      const fresh = known ? value.items.filter((one) => !known.has(one.id)) : [];
      known = new Set(value.items.map((one) => one.id));
      newest = value.items.length ? value.items[0].id : "";
      shelf.append(...fresh.slice(0, MOST).reverse().map(toast));
      while (shelf.children.length > MOST) shelf.firstChild.remove();
      host.dataset.ready = "true";
    };
  };

  function line(one) {
    return el(
      "div",
      { class: "rt-news", "data-state": one.state },
      icon(one.state),
      el(
        "div",
        {},
        el("p", { class: "rt-news-text rt-wrap" }, one.text),
        one.why ? el("p", { class: "rt-muted rt-small rt-wrap" }, one.why) : null
      )
    );
  }

  RouterPage.views.trials = (host) => (value) => {
    host.replaceChildren(
      el(
        "section",
        { class: "rt-card rt-stack" },
        el("h2", {}, say("news.on_trial")),
        value.trials.length
          ? el("ul", { class: "rt-stack rt-on-trial" }, ...value.trials.map(trial))
          : nothing(
              say("news.no_trial")
            )
      ),
      el(
        "section",
        { class: "rt-card rt-stack" },
        el("h2", {}, say("news.what_changed")),
        value.news.length
          ? el("ul", { class: "rt-stack rt-happened" }, ...value.news.map(change))
          : nothing(say("news.nothing_yet_new"))
      )
    );
    host.dataset.ready = "true";
  };

  function trial(one) {
    const at = (share) => `${(share * 100).toFixed(1)}%`;
    return el(
      "li",
      { class: "rt-rank", "data-provider": one.provider },
      el(
        "div",
        { class: "rt-rank-head" },
        provider(one.provider, one.kind, one.mark),
        el("span", { class: "rt-muted rt-small" }, say("news.of", { share: one.share, category: one.category }))
      ),
      el(
        "span",
        { class: "rt-mean" },
        el("strong", {}, one.mean.toFixed(2)),
        el("span", { class: "rt-muted" }, `  n = ${one.n}`)
      ),
      el(
        "div",
        { class: "rt-rank-bar", "aria-hidden": "true" },
        el("span", { class: "rt-rank-fill", style: { width: at(one.mean) } }),
        el("span", {
          class: "rt-rank-interval",
          style: { left: at(one.low), width: at(Math.max(0, one.high - one.low)) },
        })
      ),
      el("p", { class: "rt-muted rt-small rt-wrap rt-trial-said" }, one.said)
    );
  }

  function change(one) {
    return el(
      "li",
      { "data-news": one.id },
      line(one),
      el("time", { class: "rt-muted rt-small" }, RouterPage.moment(one.at))
    );
  }
})();
