// A page that uses `useStream` as its documentation shows, against the server at LANGGRAPH_URL.
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { JSDOM } from "jsdom";

const url = process.env.LANGGRAPH_URL;
const ANSWER = process.env.ANSWER;

const dom = new JSDOM('<div id="page"></div>', { url: "http://localhost" });
globalThis.window = dom.window;
globalThis.document = dom.window.document;

const { createElement, useEffect } = await import("react");
const { createRoot } = await import("react-dom/client");
const { useStream } = await import("@langchain/langgraph-sdk/react");

const roots = [];
after(() => {
  roots.forEach((root) => root.unmount());
});

/** As `fetch`, but each event of a stream comes by itself, so that the page renders in between. */
async function slowly(...request) {
  const response = await fetch(...request);
  if (!response.headers.get("content-type")?.startsWith("text/event-stream")) return response;
  let rest = "";
  const apart = new TransformStream({
    async transform(text, out) {
      const parts = (rest + text).split(/(?<=\r?\n\r?\n)/);
      rest = /\n\r?\n$/.test(parts.at(-1)) ? "" : parts.pop();
      for (const part of parts) {
        out.enqueue(part);
        await new Promise(setImmediate);
      }
    },
    flush: (out) => out.enqueue(rest),
  });
  const events = response.body
    .pipeThrough(new TextDecoderStream())
    .pipeThrough(apart)
    .pipeThrough(new TextEncoderStream());
  return new Response(events, response);
}

/** A chat whose every rendering is kept; `until` waits for one of which `holds` is true. */
function chat(options = {}) {
  const renderings = [];
  const waiting = new Set();
  const page = { renderings, events: [] };

  function Chat() {
    const stream = useStream({
      apiUrl: url,
      assistantId: "router",
      callerOptions: { fetch: slowly },
      onCustomEvent: (event) => page.events.push(event.type),
      ...options,
    });
    page.stream = stream;
    const shown = stream.messages.map(({ id, type, content }) => ({ id, type, content }));
    const now = { messages: shown, busy: stream.isLoading, error: stream.error };
    useEffect(() => {
      renderings.push(now);
      for (const check of [...waiting]) check(now);
    });
    return createElement(
      "ol",
      null,
      shown.map((message) => createElement("li", { key: message.id }, message.content)),
    );
  }

  page.until = (holds) =>
    new Promise((resolve) => {
      const check = (now) => {
        if (!holds(now)) return;
        waiting.delete(check);
        resolve(now);
      };
      waiting.add(check);
      if (renderings.length) check(renderings.at(-1));
    });
  page.ask = async (input, submitted) => {
    const begun = page.until((now) => now.busy);
    page.stream.submit(input, submitted);
    await begun;
    return page.until((now) => !now.busy);
  };
  const element = document.createElement("div");
  document.getElementById("page").append(element);
  page.text = () => [...element.querySelectorAll("li")].map((item) => item.textContent);
  const root = createRoot(element);
  roots.push(root);
  root.render(createElement(Chat));
  return page;
}

const asks = (content, more = {}) => ({ messages: [{ type: "human", content }], ...more });

/** The answers that a page showed since a rendering, by id, each as it grew. */
function spoken(page, since = 0) {
  const said = new Map();
  for (const { messages } of page.renderings.slice(since)) {
    for (const { id, type, content } of messages) {
      if (type !== "ai" || content === "") continue;
      const versions = said.get(id) ?? [];
      if (versions.at(-1) !== content) said.set(id, [...versions, content]);
    }
  }
  return said;
}

test("streamed tokens grow into the final message under one id", async () => {
  const page = chat();
  await page.until((now) => !now.busy);
  const done = await page.ask(asks("Why is the sky blue?"));
  assert.equal(done.error, undefined);
  const last = done.messages.at(-1);
  assert.deepEqual([last.type, last.content], ["ai", ANSWER]);
  const said = spoken(page);
  assert.deepEqual([...said.keys()], [last.id]);
  const versions = said.get(last.id);
  assert.ok(versions.length > 1, `it was streamed: ${JSON.stringify(versions)}`);
  versions.forEach((text) => assert.ok(ANSWER.startsWith(text), text));
  assert.deepEqual(page.stream.values.answer.text, ANSWER);
  assert.deepEqual(page.text(), ["Why is the sky blue?", ANSWER]);
  assert.ok(page.events.includes("classified") && page.events.includes("answered"));
});

test("a second turn goes on in the thread, and an edited question forks it", async () => {
  const page = chat({ fetchStateHistory: { limit: 100 } });
  await page.until((now) => !now.busy);
  await page.ask(asks("First?"));
  const first = page.stream.messages[0];
  const done = await page.ask(asks("Second?"));
  assert.deepEqual(
    done.messages.map((message) => message.content),
    ["First?", ANSWER, "Second?", ANSWER],
  );
  assert.equal(new Set(done.messages.map((message) => message.id)).size, 4);
  const seen = await page
    .until(() => page.stream.getMessagesMetadata(first)?.firstSeenState)
    .then(() => page.stream.getMessagesMetadata(first).firstSeenState);
  const forked = await page.ask(asks("Edited?"), { checkpoint: seen.parent_checkpoint });
  assert.deepEqual(
    forked.messages.map((message) => message.content),
    ["Edited?", ANSWER],
  );
});

test("a speaker that breaks off is replaced by a message of its own, and one answer stays", async () => {
  const page = chat();
  await page.until((now) => !now.busy);
  const done = await page.ask(asks("Why?", { provider: "cut" }));
  const said = [...spoken(page)];
  const [last, lastVersions] = said.pop();
  assert.ok(said.length > 0);
  said.forEach(([, versions]) => assert.match(versions.at(-1), /^word0 word1 /));
  const answers = done.messages.filter((message) => message.type === "ai");
  assert.deepEqual(
    answers.map(({ id, content }) => [id, content]),
    [[last, lastVersions.at(-1)]],
  );
  assert.ok(page.events.includes("switched"));
});

test("wrong input is an error of one sentence on the page", async () => {
  const page = chat();
  await page.until((now) => !now.busy);
  const done = await page.ask(asks("Why?", { category: "nope" }));
  assert.match(done.error.message, /unknown category 'nope'/);
});
