// The configuration in force as one table with a filter.
(() => {
  const { el, nothing, say } = RouterPage;

  // Long names break after their dots and underscores, not within a word.
  function name(key) {
    const parts = key.split(/(?<=[._])/).flatMap((part) => [part, el("wbr")]);
    return el("span", { class: "rt-mono" }, ...parts);
  }

  RouterPage.views.settings = (host) => {
    const filter = el("input", {
      class: "rt-search",
      type: "search",
      placeholder: say("settings.filter_by_name"),
      "aria-label": say("settings.filter_the_settings"),
      oninput: () => narrow(),
    });
    const where = el("p", { class: "rt-muted" });
    const settings = el("div", { class: "rt-settings-table" });
    const none = nothing(say("settings.no_setting_matches"));
    host.replaceChildren(el("div", { class: "rt-stack" }, where, filter, settings, none));

    function narrow() {
      const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
      let seen = 0;
      for (const row of settings.querySelectorAll("tbody tr")) {
        row.hidden = !words.every((word) => row.dataset.text.includes(word));
        if (!row.hidden) seen += 1;
      }
      none.hidden = seen > 0;
    }

    return (value) => {
      where.textContent = say("settings.read_from_env", { folder: value.folder });
      const rows = value.rows.map((row) => {
        const source = row.variable ? `${row.source} (${row.variable})` : row.source;
        const text = `${row.key} ${row.value} ${source}`.toLowerCase();
        const cells = [name(row.key), row.value, el("span", { class: "rt-muted" }, source)];
        return [{ "data-text": text }, ...cells];
      });
      settings.replaceChildren(RouterPage.table([say("settings.setting"), say("settings.value"), say("settings.comes_from")], 3, rows));
      narrow();
      host.dataset.ready = "true";
    };
  };
})();
