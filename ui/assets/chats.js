// Conversations, kept in this browser alone: listed, searched, renamed, deleted, exported, and
// brought back after a reload. One key of the storage holds one conversation.
(() => {
  const { el, icon } = RouterPage;
  const KEY = "router-chat:";
  const TITLE = 60; // characters of the first prompt that name a conversation

  let current = fresh();
  let redraw = () => {};
  let show = () => {}; // a conversation of the storage, in the chat

  function fresh() {
    return { id: crypto.randomUUID(), title: "", at: Date.now(), turns: [] };
  }

  function read(id) {
    try {
      return JSON.parse(localStorage.getItem(KEY + id));
    } catch {
      return null;
    }
  }

  function all() {
    return Object.keys(localStorage)
      .filter((key) => key.startsWith(KEY))
      .map((key) => read(key.slice(KEY.length)))
      .filter((chat) => chat?.turns?.length)
      .sort((a, b) => b.at - a.at);
  }

  // Where the storage is full the oldest conversations make room.
  function write(chat) {
    for (;;) {
      try {
        localStorage.setItem(KEY + chat.id, JSON.stringify(chat));
        return;
      } catch {
        const oldest = all().filter((one) => one.id !== chat.id).pop();
        if (!oldest) return;
        localStorage.removeItem(KEY + oldest.id);
      }
    }
  }

  // A turn as the server shows it; a turn asked anew takes the place of all that followed.
  function note(turn) {
    const before = current.turns[turn.number];
    if (before?.request_id !== turn.request_id) current.turns.length = turn.number;
    current.turns[turn.number] = turn;
    current.at = Date.now();
    current.title ||= turn.prompt.trim().replace(/\s+/g, " ").slice(0, TITLE);
    write(current);
    RouterPage.address.go("chat", current.id);
    redraw();
  }

  function begin() {
    current = fresh();
    RouterPage.address.go("chat");
    redraw();
  }

  // A conversation of its own that has this one's turns up to that number.
  function fork(number) {
    const turns = current.turns.slice(0, number + 1);
    const chat = { ...fresh(), title: `${current.title} (fork)`.slice(0, 120), turns };
    write(chat);
    show(chat);
  }

  function markdown(chat) {
    const turns = chat.turns.map((turn) => {
      const by = turn.answered_by ? `\n\n*${turn.answered_by}*` : "";
      return `## ${turn.prompt}\n\n${turn.text}${by}`;
    });
    return `# ${chat.title}\n\n${turns.join("\n\n")}\n`;
  }

  function save(chat, ending, text) {
    const link = el("a", {
      href: URL.createObjectURL(new Blob([text], { type: "text/plain" })),
      download: `${chat.title.replace(/[^\p{L}\p{N}]+/gu, "-").slice(0, 40) || "chat"}.${ending}`,
    });
    link.click();
    URL.revokeObjectURL(link.href);
  }

  function button(label, act, name) {
    const said = { "aria-label": `${label}: ${name}` };
    return el("button", { type: "button", class: "rt-link", ...said, onclick: act }, label);
  }

  // Asks once more on the button itself: a click too many must not lose a conversation.
  function remove(chat) {
    const one = button("Delete", () => {
      if (one.textContent === "Delete") return void (one.textContent = "Delete for good");
      localStorage.removeItem(KEY + chat.id);
      if (chat.id === current.id) document.querySelector("#fresh").click();
      redraw();
    }, chat.title);
    return one;
  }

  function rename(chat, item) {
    const box = el("input", { class: "rt-search", value: chat.title, "aria-label": "New name" });
    const done = () => {
      const found = chat.id === current.id ? current : read(chat.id);
      found.title = box.value.trim().slice(0, 120) || chat.title;
      write(found);
      redraw();
    };
    box.addEventListener("change", done);
    item.replaceChildren(box);
    box.focus();
  }

  RouterPage.views.chats = (host, trigger) => {
    const filter = el("input", {
      class: "rt-search",
      type: "search",
      placeholder: "Search conversations",
      "aria-label": "Search conversations",
      oninput: () => draw(),
    });
    const list = el("ul", { class: "rt-chat-list" });
    const summary = el("summary", {}, "Conversations");
    host.replaceChildren(
      el("details", { class: "rt-chats" }, summary, filter, list)
    );

    function open(chat) {
      current = chat;
      const chosen = chat.turns[chat.turns.length - 1];
      trigger("restore", {
        turns: chat.turns.map((turn) => JSON.stringify(turn)),
        category: chosen.category || "",
        provider: chosen.provider || "",
      });
      RouterPage.address.go("chat", chat.id);
      draw();
    }

    function line(chat) {
      const item = el("li", { "data-chat": chat.id });
      const here = chat.id === current.id ? { "aria-current": "true" } : {};
      const title = { type: "button", class: "rt-chat-title", ...here, onclick: () => open(chat) };
      item.append(
        el("button", title, chat.title),
        button("Rename", () => rename(chat, item), chat.title),
        button("Markdown", () => save(chat, "md", markdown(chat)), chat.title),
        button("JSON", () => save(chat, "json", JSON.stringify(chat, null, 2)), chat.title),
        remove(chat)
      );
      return item;
    }

    function draw() {
      const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
      const chats = all();
      const found = chats.filter((chat) => {
        const text = JSON.stringify([chat.title, chat.turns.map((t) => [t.prompt, t.text])]);
        return words.every((word) => text.toLowerCase().includes(word));
      });
      summary.textContent = `Conversations (${chats.length})`;
      list.replaceChildren(...found.slice(0, 100).map(line));
      host.dataset.count = String(found.length);
    }

    [redraw, show] = [draw, open];
    draw();
    RouterPage.address.offer("chat", (id) => {
      const chat = id === current.id ? null : read(id);
      if (chat?.turns?.length) open(chat);
    });
    return () => {};
  };

  // The answer alone, as its model wrote it. Gradio would copy every fold below it too.
  document.addEventListener(
    "click",
    (event) => {
      if (event.target.closest?.("#fresh")) begin();
      const copy = event.target.closest?.('#talk .bot-row button[aria-label="Copy message"]');
      const row = copy?.closest(".bot-row");
      if (!row) return;
      const turn = current.turns[[...document.querySelectorAll("#talk .bot-row")].indexOf(row)];
      if (!turn) return;
      event.stopImmediatePropagation();
      navigator.clipboard.writeText(turn.text);
      copy.replaceChildren(icon("done"));
      setTimeout(() => copy.replaceChildren(icon("copy")), 1500);
    },
    true
  );

  RouterPage.chats = { note, fork, id: () => (current.turns.length ? current.id : "") };
})();
