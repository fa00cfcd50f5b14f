// What was said in a request of the log: prompt, calls of tools, their results, the answer. JSON has
// its lines; whatever is long is folded, and copied as it was written.
(() => {
  const { el, icon, say } = RouterPage;
  const LONG = 400; // characters, or
  const LINES = 12;

  function part(one) {
    const shown = one.json ?? one.text;
    const lines = shown.split("\n").length;
    const copy = el(
      "button",
      { type: "button", class: "rt-link rt-story-copy", "aria-label": `Copy: ${one.title}`, onclick: copied },
      "Copy"
    );
    async function copied(event) {
      event.preventDefault();
      await navigator.clipboard.writeText(one.text);
      copy.replaceChildren("Copied", icon("done"));
    }
    const folded = one.title !== "Prompt" && one.title !== "Answer";
    const long = shown.length > LONG || lines > LINES;
    return el(
      "details",
      { class: "rt-story", open: !folded && !long },
      el("summary", {}, one.title, long ? el("span", { class: "rt-muted" }, ` ${lines === 1 ? `${shown.length} characters` : `${lines} lines`}`) : null),
      copy,
      el("pre", { class: one.json ? "rt-code" : "rt-prose", tabindex: "0", "aria-label": one.title }, shown)
    );
  }

  RouterPage.said = () => {
    const root = el("section", { class: "rt-story-all", "aria-label": say("said.what_was_said"), hidden: true });
    let drawn = "";
    function draw(value) {
      const said = value.said || [];
      const key = JSON.stringify([value.id, said]);
      if (key === drawn) return;
      drawn = key;
      root.replaceChildren(...said.map(part));
      root.hidden = !said.length;
    }
    return { root, draw };
  };
})();
