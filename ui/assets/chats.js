// Conversations, kept in this browser alone: listed, searched, renamed, deleted, exported, and
// brought back after a reload. One key of the storage holds one conversation.
(() => {
  const { el, icon, say } = RouterPage;
  const KEY = "router-chat:";
  const OPEN = "router-open"; // of a tab: the conversation that is in its chat
  const TITLE = 60; // characters of the first prompt that name a conversation

  const SOON_MS = 400;
  const LATER_MS = 5000;

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

  const count = () => Object.keys(localStorage).filter((key) => key.startsWith(KEY)).length;

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
        drop(oldest);
      }
    }
  }

  // A turn that runs is written somewhat later: a long conversation takes its time, and its first
  // word should not wait for that. What is said is written seldom, and when the page is left.
  let due = 0;
  function soon(ms) {
    due ||= setTimeout(flush, ms);
  }

  function flush() {
    if (!due) return;
    clearTimeout(due);
    due = 0;
    write(current);
  }
  addEventListener("pagehide", flush);

  const filesOf = (chats) => new Set(chats.flatMap((chat) => chat.turns.flatMap((turn) => (turn.files || []).map((one) => one.id))));

  // With the files that no other conversation has.
  function drop(chat) {
    localStorage.removeItem(KEY + chat.id);
    const own = filesOf([chat]);
    if (own.size) RouterPage.files.prune(filesOf(all()), own);
  }

  // What the service calls the conversation that the chat shows, and those that were left: frames of
  // them may still come.
  let shown = "";
  const left = new Set();
  function leave() {
    flush();
    if (shown) left.add(shown);
  }

  // A turn as the server shows it; a turn asked anew takes the place of all that followed. It comes
  // with every frame, and is written only when something of it is new.
  function note({ chat, ...turn }) {
    if (left.has(chat)) return;
    shown = chat;
    if (turn.number > current.turns.length) return; // of a conversation that was left meanwhile
    const before = current.turns[turn.number];
    if (before && JSON.stringify(before) === JSON.stringify(turn)) return;
    const begun = before?.request_id !== turn.request_id;
    if (begun) {
      if (elsewhere()) current = { ...fresh(), title: current.title, turns: [...current.turns] };
      current.turns.length = turn.number;
    }
    current.turns[turn.number] = turn;
    current.at = Date.now();
    current.title ||= turn.prompt.trim().replace(/\s+/g, " ").slice(0, TITLE);
    soon(begun ? SOON_MS : LATER_MS);
    if (turn.phase !== "running") flush();
    sessionStorage.setItem(OPEN, current.id);
    if (onChat()) RouterPage.address.go("chat", current.id); // it may end while another board is read
    if (begun || turn.phase !== before.phase) redraw();
  }

  const onChat = () => /^(#\/chat(\/.*)?)?$/.test(location.hash);

  // Another tab went on with this conversation: what is asked here is one of its own.
  function elsewhere() {
    const stored = read(current.id)?.turns || [];
    return stored.some((turn, n) => turn && turn.request_id !== current.turns[n]?.request_id);
  }
  addEventListener("storage", (event) => event.key?.startsWith(KEY) && redraw());

  function begin() {
    leave();
    current = fresh();
    sessionStorage.removeItem(OPEN);
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

  // The conversation with the contents of its files, as far as this browser has them.
  async function whole(chat) {
    const turns = chat.turns.map(async (turn) => {
      if (!turn.files?.length) return turn;
      const read = turn.files.map(async (one) => ({ ...one, data: (await RouterPage.files.read(one.id))?.data }));
      return { ...turn, files: await Promise.all(read) };
    });
    return { ...chat, turns: await Promise.all(turns) };
  }

  function attached(one) {
    if (!one.data) return `*${one.name}*`;
    const name = one.name.replace(/[[\]]/g, "");
    if (one.type.startsWith("image/")) return `![${name}](data:${one.type};base64,${one.data})`;
    const longest = Math.max(2, ...(one.data.match(/`+/g) || []).map((ticks) => ticks.length));
    const fence = "`".repeat(longest + 1);
    return `*${one.name}*\n\n${fence}\n${one.data}\n${fence}`;
  }

  function markdown(chat) {
    const turns = chat.turns.map((turn) => {
      const by = turn.answered_by ? [`*${turn.answered_by}*`] : [];
      return [`## ${turn.prompt}`, ...(turn.files || []).map(attached), turn.text, ...by].join("\n\n");
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
    const one = button(say("chats.delete"), () => {
      if (one.textContent === say("chats.delete")) return void (one.textContent = say("chats.delete_for_good"));
      if (chat.id === current.id) due = clearTimeout(due) || 0;
      drop(chat);
      if (chat.id === current.id) document.querySelector("#fresh").click();
      redraw();
    }, chat.title);
    return one;
  }

  function rename(chat, item) {
    const box = el("input", { class: "rt-search", value: chat.title, "aria-label": say("chats.new_name") });
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
      placeholder: say("chats.search_conversations"),
      "aria-label": say("chats.search_conversations"),
      oninput: () => draw(),
    });
    const list = el("ul", { class: "rt-chat-list" });
    const summary = el("summary", {}, say("chats.conversations"));
    const details = el("details", { class: "rt-chats", ontoggle: () => draw() }, summary, filter, list);
    const said = el("span", { class: "rt-muted rt-small" });
    const more = el("button", { type: "button", class: "rt-button", onclick: () => earlier("") }, say("chats.show_earlier"));
    const every = el("button", { type: "button", class: "rt-link", onclick: () => earlier("yes") }, say("chats.show_all"));
    const folded = el("div", { class: "rt-earlier", hidden: true }, more, every, said);
    host.replaceChildren(details, folded);

    // What stands in sight stays there while turns come in above it.
    function earlier(all) {
      const log = document.querySelector('#talk [role="log"]');
      const below = log.scrollHeight - log.scrollTop;
      const shown = document.querySelectorAll("#talk .user-row").length;
      const watch = new MutationObserver(() => {
        if (document.querySelectorAll("#talk .user-row").length <= shown) return;
        watch.disconnect();
        requestAnimationFrame(() => (log.scrollTop = log.scrollHeight - below));
      });
      watch.observe(log, { childList: true, subtree: true });
      trigger("earlier", { every: all });
    }

    function open(chat) {
      leave();
      current = chat;
      sessionStorage.setItem(OPEN, chat.id);
      const chosen = chat.turns[chat.turns.length - 1];
      trigger.newest("restore", {
        turns: chat.turns.map((turn) => JSON.stringify(turn)),
        category: chosen.category || "",
        provider: chosen.provider || "",
      });
      if (onChat()) RouterPage.address.go("chat", chat.id);
      draw();
    }

    function line(chat) {
      const item = el("li", { "data-chat": chat.id });
      const here = chat.id === current.id ? { "aria-current": "true" } : {};
      const title = { type: "button", class: "rt-chat-title", ...here, onclick: () => open(chat) };
      item.append(
        el("button", title, chat.title),
        button(say("chats.rename"), () => rename(chat, item), chat.title),
        button(say("chats.markdown"), async () => save(chat, "md", markdown(await whole(chat))), chat.title),
        button("JSON", async () => save(chat, "json", JSON.stringify(await whole(chat), null, 2)), chat.title),
        remove(chat)
      );
      return item;
    }

    function draw() {
      summary.textContent = `Conversations (${count()})`;
      if (!details.open) return;
      const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
      const chats = all();
      const found = chats.filter((chat) => {
        const text = JSON.stringify([chat.title, chat.turns.map((t) => [t.prompt, t.text])]);
        return words.every((word) => text.toLowerCase().includes(word));
      });
      list.replaceChildren(...found.slice(0, 100).map(line));
      host.dataset.count = String(found.length);
    }

    // Nothing may be written into a conversation that the page does not show.
    RouterPage.failing(host, (_, event) => event === "restore" && document.querySelector("#fresh").click());

    [redraw, show] = [draw, open];
    draw();
    RouterPage.address.offer("chat", (id) => {
      const chat = id === current.id ? null : read(id);
      if (chat?.turns?.length) open(chat);
    });
    const before = onChat() ? null : read(sessionStorage.getItem(OPEN)); // a reload on another board
    if (before?.turns?.length) setTimeout(() => open(before));
    RouterPage.files.prune(filesOf(all()));
    return (value) => {
      const hidden = value.earlier || 0;
      folded.hidden = !hidden;
      folded.dataset.earlier = String(hidden);
      said.textContent = say(hidden === 1 ? "chats.one_folded" : "chats.folded", { hidden });
    };
  };

  // Of an answer in the chat, which shows the newest turns.
  function turnOf(row) {
    const rows = [...document.querySelectorAll("#talk .bot-row")];
    return current.turns[current.turns.length - rows.length + rows.indexOf(row)];
  }

  // The answer alone, as its model wrote it. Gradio would copy every fold below it too.
  document.addEventListener(
    "click",
    (event) => {
      if (event.target.closest?.("#fresh")) begin();
      const copy = event.target.closest?.('#talk .bot-row button[aria-label="Copy message"]');
      const row = copy?.closest(".bot-row");
      if (!row) return;
      const turn = turnOf(row);
      if (!turn) return;
      event.stopImmediatePropagation();
      navigator.clipboard.writeText(turn.text);
      copy.replaceChildren(icon("done"));
      setTimeout(() => copy.replaceChildren(icon("copy")), 1500);
    },
    true
  );

  RouterPage.chats = { note, fork, turnOf, id: () => (current.turns.length ? current.id : "") };
})();
