// What the parts of the page ask of the service, and which of the replies they show: the newest wish
// wins, in whatever order the replies come, and a reply that equals the last one is a reply too.
(() => {
  const LOST_MS = 10_000; // gradio loses an event now and then: after so long it may be asked again
  const under = new Map(); // by part and event, what is asked and not over yet
  const newest = new Map(); // by part and event, the number of the newest wish
  const hosts = new Map();
  let count = 0;

  // `ask(event, data)`. A second click on the same is none; `ask.newest` has one at a time under way,
  // and then what was wanted last.
  RouterPage.asking = (id, host, trigger) => {
    hosts.set(id, host);

    const heardOf = (one) => one && Date.now() - one.at < LOST_MS;

    function send(key, event, data, said) {
      const before = under.get(key);
      const open = (heardOf(before) ? before.open : 0) + 1;
      count += 1;
      newest.set(key, count);
      under.set(key, { said, number: count, at: Date.now(), open, next: null });
      trigger(event, { ...data, wish: `${key} ${count}` });
    }

    function ask(event, data) {
      if (event === "refresh") return ask.newest(event, data);
      const [key, said] = [`${id} ${event}`, JSON.stringify(data ?? {})];
      const before = under.get(key);
      if (heardOf(before) && before.said === said) return;
      send(key, event, data, said);
    }

    ask.newest = (event, data) => {
      const [key, said] = [`${id} ${event}`, JSON.stringify(data ?? {})];
      const before = under.get(key);
      if (!heardOf(before)) return send(key, event, data, said);
      const wanted = before.said !== said;
      before.next = wanted ? () => send(key, event, data, said) : null;
      newest.set(key, wanted ? Infinity : before.number);
    };
    return ask;
  };

  // Called by gradio when an event is over.
  RouterPage.over = (key, well) => {
    const one = under.get(key);
    if (!one || (one.open -= 1) > 0) return;
    under.delete(key);
    if (one.next) return one.next();
    const [id, event] = key.split(" ");
    if (!well) hosts.get(id).dispatchEvent(new CustomEvent("router-failed", { detail: event }));
  };

  // What a part does when nothing came of its event.
  RouterPage.failing = (host, act) =>
    host.addEventListener("router-failed", ({ detail }) => act(RouterPage.say("asking.failed"), detail));

  // Shows the values of a part, but those that nobody waits for any more.
  RouterPage.replies = (how, show) => {
    let begun = 0; // of the newest wish whose reply is shown
    let last = null;
    return ({ reply, ...value }) => {
      const [id, event, number] = (reply?.to || "").split(" ");
      const renewed = id === how.id && event === "refresh";
      if (Number(number) < newest.get(`${id} ${event}`)) return;
      if (how.latest && reply?.begun < begun) return;
      if (!renewed) begun = reply?.begun || begun;
      const now = [value, hosts.get(how.id).asks];
      if (renewed && JSON.stringify(now) === JSON.stringify(last)) return;
      last = now;
      show(value, { id, event });
    };
  };
})();
