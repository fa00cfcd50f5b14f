// Each board, request and conversation has an address: #/log/<request>?outcome=failed, #/chat/<id>.
// Back and Forward go through them, and a bookmark leads to where it was made.
(() => {
  const openers = {}; // by board, what opens one of its items; a board comes when it is first drawn
  const askers = {}; // by board, what takes the filters of an address
  let begun = false;
  let applying = false;

  const slug = (tab) => tab.textContent.trim().toLowerCase().replace(/\s+/g, "-");
  const HIDDEN = "#tabs .overflow-dropdown button"; // boards whose tabs a narrow window has no room for
  const tabs = () => [...document.querySelectorAll('#tabs [role="tab"]')];
  const boards = () => [...tabs(), ...document.querySelectorAll(HIDDEN)];
  const address = () => location.hash.replace(/^#\/?/, "").split("?");
  const parts = () => address()[0].split("/").map(decodeURIComponent);

  function query(board) {
    return parts()[0] === board ? Object.fromEntries(new URLSearchParams(address()[1])) : {};
  }

  function go(board, item = "", filters = {}) {
    if (applying) return;
    const asked = new URLSearchParams(filters).toString();
    const to = `#/${board}${item ? `/${encodeURIComponent(item)}` : ""}${asked ? `?${asked}` : ""}`;
    if (location.hash === to) return;
    // A conversation has its name from its first prompt on, at the place where it was begun.
    const same = board === "chat" && parts()[0] === "chat" && !parts()[1];
    history[same || !location.hash ? "replaceState" : "pushState"](null, "", to);
  }

  function apply() {
    const [board, item] = parts();
    if (!board) return;
    const tab = boards().find((one) => slug(one) === board);
    if (tab && tab.getAttribute("aria-selected") !== "true") tab.click();
    askers[board]?.(query(board));
    open(board, item);
  }

  function open(board, item) {
    if (!item || !openers[board]) return;
    applying = true;
    openers[board](item);
    applying = false;
  }

  // A board that can open one of its items says how; what the address names is opened then.
  function offer(board, opener, asker) {
    openers[board] = opener;
    askers[board] = asker;
    const [wanted, item] = parts();
    if (wanted === board) setTimeout(() => open(board, item));
  }

  // What Esc closes or clears where it is pressed: a list of choices, a word that is being composed,
  // a search.
  function ends({ isComposing, target }) {
    const searches = target.type === "search" && target.value;
    return isComposing || searches || document.querySelector('[role="listbox"]')?.checkVisibility();
  }

  // Arrows go through the boards, and Esc stops what is being answered.
  function onKey(event) {
    if (event.key === "Escape" && !ends(event)) document.querySelector("#prompt .stop-button")?.click();
    const tab = event.target.closest?.('#tabs [role="tab"]');
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!tab || !step) return;
    const shown = tabs().filter((one) => one.checkVisibility());
    const next = shown[(shown.indexOf(tab) + step + shown.length) % shown.length];
    event.preventDefault();
    next.focus();
    next.click();
    go(slug(next), slug(next) === "chat" ? RouterPage.chats.id() : "");
  }

  function begin() {
    if (begun) return;
    begun = true;
    addEventListener("popstate", apply);
    apply();
  }

  document.addEventListener("click", (event) => {
    const tab = event.target.closest?.(`#tabs [role="tab"], ${HIDDEN}`);
    if (tab && event.isTrusted) go(slug(tab), slug(tab) === "chat" ? RouterPage.chats.id() : "");
  });
  document.addEventListener("keydown", onKey, true); // before what Esc closes is closed

  RouterPage.address = { begin, go, offer, query };
})();
