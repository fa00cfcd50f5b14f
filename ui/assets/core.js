// The page's own small library. Every text from a model, a document or a configuration enters the
// DOM through textContent: nothing here parses HTML.
window.RouterPage = (() => {
  const SVG = "http://www.w3.org/2000/svg";
  const views = {};

  // el("div", {class: "card", onclick: f, "aria-label": "x"}, child, "text", …)
  function el(tag, attributes = {}, ...children) {
    return fill(document.createElement(tag), attributes, children);
  }

  function svg(tag, attributes = {}, ...children) {
    return fill(document.createElementNS(SVG, tag), attributes, children);
  }

  function fill(node, attributes, children) {
    for (const [name, value] of Object.entries(attributes)) {
      if (value === null || value === undefined || value === false) continue;
      if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
      else if (name === "style") Object.assign(node.style, value);
      else node.setAttribute(name, value === true ? "" : value);
    }
    for (const child of children.flat()) {
      if (child === null || child === undefined || child === false || child === "") continue;
      node.append(child instanceof Node ? child : document.createTextNode(String(child)));
    }
    return node;
  }

  // A sentence of `words.json` by its board and name, with its values.
  function say(key, values = {}) {
    const [board, name] = key.split(".");
    return window.RouterWords[board][name].replace(/\{(\w+)\}/g, (_, one) => values[one]);
  }

  const PATHS = {
    waiting: ["M12 4a8 8 0 1 0 0 16 8 8 0 0 0 0-16Z"],
    running: ["M12 3a9 9 0 1 1-8.5 6"],
    done: ["M4.5 12.5l5 5 10-11"],
    failed: ["M6 6l12 12M18 6L6 18"],
    cancelled: ["M12 4a8 8 0 1 0 0 16 8 8 0 0 0 0-16Z", "M8 12h8"],
    skipped: ["M5 6l7 6-7 6V6Z", "M18 6v12"],
    late: ["M12 4a8 8 0 1 0 0 16 8 8 0 0 0 0-16Z", "M12 8v4.5l3 2"],
    copy: ["M9 9h10v11H9z", "M5 15V4h10"],
    close: ["M6 6l12 12M18 6L6 18"],
    up: ["M12 19V5M6 11l6-6 6 6"],
    down: ["M12 5v14M6 13l6 6 6-6"],
    play: ["M7 5l12 7-12 7V5Z"],
    clip: ["M8 12.5V7a4 4 0 0 1 8 0v9a2.5 2.5 0 0 1-5 0V8.5"],
    theme: ["M12 4a8 8 0 1 0 0 16V4Z", "M12 4a8 8 0 0 1 0 16"],
  };

  function icon(name) {
    const paths = (PATHS[name] || PATHS.waiting).map((d) => svg("path", { d }));
    return svg(
      "svg",
      { class: `rt-icon rt-icon-${name}`, viewBox: "0 0 24 24", "aria-hidden": "true" },
      ...paths
    );
  }

  // A provider's name with what must be said beside it: simulation, demo quality.
  function provider(name, kind, mark) {
    return el(
      "span",
      { class: "rt-provider", "data-kind": kind || "remote" },
      el("span", { class: "rt-name", title: name }, name),
      mark ? el("span", { class: "rt-mark" }, mark) : null
    );
  }

  // An instant of the log, in the reader's own time: only the clock where it is today.
  function moment(at) {
    const date = new Date(at * 1000);
    const today = date.toDateString() === new Date().toDateString();
    const day = today ? "" : `${date.toLocaleDateString("en-GB", { day: "numeric", month: "short" })} `;
    return day + date.toLocaleTimeString("en-GB");
  }

  // A table that a narrow window shows as a list; the roles keep it a table for a screen reader.
  // `cells` of a row are [attributes, ...children]; `right` says from which column on figures stand.
  function table(heads, right, rows) {
    const side = (n) => (n >= right ? "rt-right" : "");
    return el(
      "div",
      { class: "rt-card rt-table-wrap" },
      el(
        "table",
        { role: "table" },
        el(
          "thead",
          { role: "rowgroup" },
          el(
            "tr",
            { role: "row" },
            ...heads.map((h, n) => el("th", { scope: "col", role: "columnheader", class: side(n) }, h))
          )
        ),
        el(
          "tbody",
          { role: "rowgroup" },
          ...rows.map(([attributes, ...cells]) =>
            el(
              "tr",
              { role: "row", ...attributes },
              ...cells.map((cell, n) =>
                el("td", { role: "cell", class: `rt-wrap ${side(n)}` }, ...[cell].flat())
              )
            )
          )
        )
      )
    );
  }

  function nothing(text) {
    return el("p", { class: "rt-nothing" }, text);
  }

  // Moves what changed its place instead of letting it jump: `change` rearranges the children.
  function glide(children, change) {
    const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
    const before = new Map(children.map((c) => [c, c.getBoundingClientRect().top]));
    change();
    if (calm) return;
    for (const [child, top] of before) {
      if (!child.isConnected) continue;
      const by = top - child.getBoundingClientRect().top;
      if (by) {
        const steps = [{ transform: `translateY(${by}px)` }, { transform: "none" }];
        child.animate(steps, { duration: 450, easing: "cubic-bezier(.2,.7,.2,1)" });
      }
    }
  }

  // Called by every gr.HTML of this page; `views[name](host, ask)` returns its `show(value, wish)`.
  function mount(name, element, props, trigger, watch, how) {
    const host = element.querySelector(".rt-view");
    const ask = RouterPage.asking(how.id, host, trigger);
    const shown = RouterPage.replies(how, views[name](host, ask));
    const update = () => {
      if (props.value && typeof props.value === "object") shown(props.value);
    };
    update();
    watch("value", update);
    let timer = 0;
    new IntersectionObserver((seen) => {
      clearInterval(timer);
      if (!seen[seen.length - 1].isIntersecting) return;
      const renew = () => ask.newest("refresh", host.asks); // what a view wants, where it can want anything
      renew();
      if (how.every) timer = setInterval(() => document.hidden || renew(), how.every);
    }).observe(element);
  }

  function toggleTheme() {
    const dark = document.body.classList.toggle("dark");
    localStorage.setItem("router-theme", dark ? "dark" : "light");
  }

  // Gradio's own parts fly in by script, which no style can slow: for whoever wants stillness an
  // animation is over when it begins.
  function still() {
    const animate = Element.prototype.animate;
    Element.prototype.animate = function (steps, timing) {
      const how = typeof timing === "object" ? timing : {};
      return animate.call(this, steps, { ...how, delay: 0, duration: 0 });
    };
  }

  function begin() {
    document.documentElement.lang = "en";
    const kept = localStorage.getItem("router-theme");
    if (kept) document.body.classList.toggle("dark", kept === "dark");
    if (matchMedia("(prefers-reduced-motion: reduce)").matches) still();
    RouterPage.mend();
    RouterPage.address.begin();
    RouterPage.watchService();
    document.querySelector("#prompt textarea")?.focus({ preventScroll: true });
  }

  return { el, svg, say, icon, provider, moment, nothing, table, glide, mount, views, toggleTheme, begin };
})();
