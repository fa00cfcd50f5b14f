// Pictures and text files for the next prompt: chosen, pasted or dropped, made small enough, and
// kept in this browser for as long as a conversation has them.
(() => {
  const { el, icon, say } = RouterPage;
  const SIDE = 1568; // pixels: models make larger pictures smaller themselves
  const THUMB = 96;
  const LOST_MS = 30_000;
  const OLD_MS = 86_400_000; // what no conversation has after a day was never sent

  // -- the browser's store ----------------------------------------------------------------------

  let opened = null;
  function store() {
    opened ||= new Promise((resolve, reject) => {
      const asked = indexedDB.open("router-files", 1);
      asked.onupgradeneeded = () => asked.result.createObjectStore("files", { keyPath: "id" });
      asked.onsuccess = () => resolve(asked.result);
      asked.onerror = () => reject(asked.error);
    });
    return opened;
  }

  async function stored(mode, act) {
    try {
      const asked = act((await store()).transaction("files", mode).objectStore("files"));
      return await new Promise((resolve, reject) => {
        asked.onsuccess = () => resolve(asked.result);
        asked.onerror = () => reject(asked.error);
      });
    } catch {
      return undefined; // a browser that keeps nothing: files last as long as the page is open
    }
  }

  const files = {
    read: (id) => stored("readonly", (all) => all.get(id)),
    // Takes away what none of the conversations has: of `ids`, or of all that are old.
    async prune(used, ids = null) {
      const known = (await stored("readonly", (all) => all.getAllKeys())) || [];
      for (const id of known.filter((one) => !used.has(one) && (!ids || ids.has(one)))) {
        const old = ids || (await files.read(id))?.at < Date.now() - OLD_MS;
        if (old) await stored("readwrite", (all) => all.delete(id));
      }
    },
  };

  // -- reading a file ---------------------------------------------------------------------------

  function ident() {
    const bytes = crypto.getRandomValues(new Uint8Array(16));
    return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  }

  function base64(blob) {
    return new Promise((resolve, reject) => {
      const reader = new FileReader();
      reader.onload = () => resolve(reader.result.split(",")[1] || "");
      reader.onerror = () => reject(reader.error);
      reader.readAsDataURL(blob);
    });
  }

  function drawn(image, side) {
    const scale = Math.min(1, side / Math.max(image.width, image.height));
    const canvas = el("canvas", {
      width: Math.max(1, Math.round(image.width * scale)),
      height: Math.max(1, Math.round(image.height * scale)),
    });
    const brush = canvas.getContext("2d");
    brush.fillStyle = "#fff"; // behind what is transparent: JPEG has no alpha
    brush.fillRect(0, 0, canvas.width, canvas.height);
    brush.drawImage(image, 0, 0, canvas.width, canvas.height);
    return canvas;
  }

  const jpeg = (canvas, quality) => new Promise((done) => canvas.toBlob(done, "image/jpeg", quality));

  // As it is where it is small, else as JPEG, smaller and coarser until it fits.
  async function picture(file, most) {
    let image;
    try {
      image = await createImageBitmap(file);
    } catch {
      return { type: file.type, size: String(file.size), problem: "unreadable" };
    }
    const thumb = drawn(image, THUMB).toDataURL("image/jpeg", 0.7);
    let blob = file;
    for (let side = SIDE; blob.size > most || (blob === file && Math.max(image.width, image.height) > SIDE); side *= 0.75)
      for (const quality of [0.85, 0.6]) {
        blob = await jpeg(drawn(image, side), quality);
        if (blob.size <= most) break;
      }
    image.close();
    return { type: blob.type, size: String(blob.size), thumb, data: await base64(blob) };
  }

  async function text(file, most) {
    const whole = await file.slice(0, most * 4 + 4).text(); // a character takes four bytes at most
    const long = whole.length > most;
    const size = file.size > most * 4 ? file.size : whole.length;
    return { type: "text/plain", size: String(size), data: long ? "" : whole };
  }

  function kind(file, accepts) {
    if (accepts.includes(file.type) && file.type.startsWith("image/")) return "picture";
    const ending = /\.[^.]+$/.exec(file.name)?.[0].toLowerCase() || "";
    const plain = /^text\/|^application\/(json|xml|x-yaml|javascript|x-ndjson)$/.test(file.type);
    return accepts.includes(ending) || plain ? "text" : null;
  }

  // -- the bar under the prompt -----------------------------------------------------------------

  RouterPage.views.attached = (host, trigger) => {
    let value = { files: [], accepts: [], missing: [] };
    let sendAfter = false;
    const waiting = new Map(); // by id, what is being read, or was sent (or taken away) and not answered for
    const input = el("input", { type: "file", multiple: true, hidden: true, "aria-label": say("attached.files_to_attach") });
    input.addEventListener("change", () => {
      take([...input.files]);
      input.value = "";
    });
    const choose = el(
      "button",
      { type: "button", class: "rt-button rt-attach", title: say("attached.pictures_and_text"), onclick: () => input.click() },
      icon("clip"),
      say("attached.attach")
    );
    const chips = el("ul", { class: "rt-chips", "aria-label": say("attached.attached") });
    const said = el("p", { class: "rt-attach-problem", role: "alert", hidden: true });
    host.replaceChildren(el("div", { class: "rt-attached" }, choose, input, chips), said);

    function expect(one) {
      waiting.set(one.id, one);
      draw();
    }

    // One at a time: answers that overtake each other would show an older state last.
    const ready = [];
    let problems = []; // of the files that were given together
    let under = null;
    let overdue = 0;
    function sent(one) {
      expect(one);
      ready.push(one);
      if (!under) next();
    }

    function next() {
      clearTimeout(overdue);
      under = ready.shift() || null;
      if (!under) return;
      trigger("attach", under);
      overdue = setTimeout(lost, LOST_MS, under);
    }

    function lost(one) {
      complain([...problems, say("attached.did_not_reach", { name: one.name })]);
      answered(one.id, false);
      draw();
    }

    function complain(all) {
      problems = [...new Set(all.filter(Boolean))];
      said.textContent = problems.join(" ");
      said.hidden = !problems.length;
    }

    async function take(given) {
      if (!waiting.size) problems = [];
      const named = given.map((file) => ({ file, id: ident(), name: file.name || "pasted" }));
      for (const { id, name } of named) expect({ id, name });
      for (const { file, id, name } of named) {
        const what = kind(file, value.accepts);
        const made =
          what === "picture"
            ? await picture(file, value.most_bytes)
            : what
              ? await text(file, value.most_chars)
              : { type: "", size: String(file.size), problem: "unknown" };
        sent({ id, name, ...made });
      }
    }

    // What the service answered for: kept, if it was taken.
    function answered(id, taken) {
      const one = waiting.get(id);
      if (!one) return;
      waiting.delete(id);
      if (under === one) next();
      if (taken && one.data) stored("readwrite", (all) => all.put({ ...one, at: Date.now() }));
      if (waiting.size || !sendAfter) return;
      sendAfter = false;
      document.querySelector("#prompt .submit-button")?.click();
    }

    // The contents of earlier files, after a conversation was brought back.
    const asked = new Set();
    async function recall(ids) {
      for (const id of ids) {
        if (asked.has(id) || waiting.has(id)) continue;
        asked.add(id);
        const one = await files.read(id);
        if (one) sent({ ...one, at: undefined, earlier: "yes" });
      }
    }

    function takeAway(one) {
      problems = [];
      sent({ id: one.id, name: one.name, away: "yes" });
    }

    function chip(one) {
      const away = el(
        "button",
        { type: "button", class: "rt-chip-away", "aria-label": say("attached.take_away", { name: one.name }), onclick: () => takeAway(one) },
        icon("close")
      );
      const mark = one.thumb ? el("img", { src: one.thumb, alt: "" }) : null;
      return el("li", { class: "rt-chip", "data-file": one.id }, mark, el("span", { class: "rt-clip", title: one.name }, one.name), away);
    }

    function draw() {
      host.dataset.waiting = String(waiting.size);
      const coming = [...waiting.values()].filter((one) => !one.earlier && !one.away);
      const here = value.files.filter((one) => !waiting.get(one.id)?.away);
      const busy = coming.map((one) => el("li", { class: "rt-chip", "data-busy": "true" }, el("span", { class: "rt-clip" }, `${one.name} …`)));
      chips.replaceChildren(...here.map(chip), ...busy);
      chips.hidden = !chips.children.length;
    }

    // A prompt waits for the files that go with it.
    function hold(event) {
      if (!waiting.size) return;
      event.preventDefault();
      event.stopImmediatePropagation();
      sendAfter = true;
    }
    document.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && !event.shiftKey && event.target.closest?.("#prompt textarea")) hold(event);
    }, true);
    document.addEventListener("click", (event) => {
      if (event.target.closest?.("#prompt .submit-button")) hold(event);
    }, true);
    document.addEventListener("paste", (event) => {
      const given = [...(event.clipboardData?.files || [])];
      if (!given.length || !event.target.closest?.("#prompt")) return;
      event.preventDefault();
      event.stopImmediatePropagation();
      take(given);
    }, true);

    const column = () => document.querySelector(".rt-talk-column");
    const over = (event) => [...(event.dataTransfer?.types || [])].includes("Files") && column()?.contains(event.target);
    for (const name of ["dragover", "dragleave", "drop"])
      document.addEventListener(name, (event) => {
        if (!over(event)) return;
        event.preventDefault();
        event.stopImmediatePropagation();
        column().classList.toggle("rt-dropping", name === "dragover");
        if (name === "drop") take([...event.dataTransfer.files]);
      }, true);

    return (given, wish) => {
      value = given;
      input.accept = value.accepts.join(",");
      const taken = new Set(value.files.map((one) => one.id));
      for (const one of [...waiting.values()])
        if (one.away ? !taken.has(one.id) : value.seen.includes(one.id)) answered(one.id, taken.has(one.id));
      draw();
      if (value.problem) document.querySelector("#prompt")?.classList.remove("rt-sending");
      complain(wish.event === "attach" ? [...problems, value.problem] : [value.problem]);
      recall(value.missing);
      asked.forEach((id) => value.missing.includes(id) || asked.delete(id));
    };
  };

  RouterPage.files = files;
})();
