// Each board, request and conversation has an address: #/log/<request>, #/chat/<conversation>.
// Back and Forward go through them, and a bookmark leads to where it was made.
(() => {
  const openers = {}; // by board, what opens one of its items; a board comes when it is first drawn
  let begun = false;
  let applying = false;

  const slug = (tab) => tab.textContent.trim().toLowerCase();
  const tabs = () => [...document.querySelectorAll('#tabs [role="tab"]')];
  const parts = () => location.hash.replace(/^#\/?/, "").split("/").map(decodeURIComponent);

  function go(board, item = "") {
    if (applying) return;
    const to = `#/${board}${item ? `/${encodeURIComponent(item)}` : ""}`;
    if (location.hash === to) return;
    // A conversation has its name from its first prompt on, at the place where it was begun.
    const same = board === "chat" && parts()[0] === "chat" && !parts()[1];
    history[same || !location.hash ? "replaceState" : "pushState"](null, "", to);
  }

  function apply() {
    const [board, item] = parts();
    if (!board) return;
    const tab = tabs().find((one) => slug(one) === board);
    if (tab && tab.getAttribute("aria-selected") !== "true") tab.click();
    open(board, item);
  }

  function open(board, item) {
    if (!item || !openers[board]) return;
    applying = true;
    openers[board](item);
    applying = false;
  }

  // A board that can open one of its items says how; what the address names is opened then.
  function offer(board, opener) {
    openers[board] = opener;
    const [wanted, item] = parts();
    if (wanted === board) setTimeout(() => open(board, item));
  }

  function begin() {
    if (begun) return;
    begun = true;
    document.addEventListener("click", (event) => {
      const tab = event.target.closest?.('#tabs [role="tab"]');
      if (tab && event.isTrusted) go(slug(tab), slug(tab) === "chat" ? RouterPage.chats.id() : "");
    });
    addEventListener("popstate", apply);
    apply();
  }

  RouterPage.address = { begin, go, offer };
})();
