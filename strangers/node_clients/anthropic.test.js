// client: Anthropic's Node client
// package: @anthropic-ai/sdk
// needs: `baseURL` without `/v1`
import assert from "node:assert/strict";
import { test } from "node:test";

import Anthropic from "@anthropic-ai/sdk";

const client = new Anthropic({
  baseURL: process.env.ROUTER_URL,
  apiKey: process.env.ROUTER_KEY,
  maxRetries: 0,
});
const input_schema = {
  type: "object",
  properties: { city: { type: "string" } },
  required: ["city"],
};
const ask = {
  max_tokens: 200,
  messages: [{ role: "user", content: "What is the weather in Lisbon?" }],
  tools: [{ name: "get_weather", input_schema }],
};

test("tools, and tools streamed", async () => {
  for (const model of ["auto", "broken"]) {
    const done = await client.messages.create({ model, ...ask });
    const [call] = done.content.filter((block) => block.type === "tool_use");
    const content = `sunny in ${call.input.city}`;
    const result = { type: "tool_result", tool_use_id: call.id, content };
    const messages = [
      ...ask.messages,
      { role: "assistant", content: done.content },
      { role: "user", content: [result] },
    ];
    const stream = client.messages.stream({ model, ...ask, messages });
    assert.equal(await stream.finalText(), "The tools say: sunny in Lisbon");
  }
});

test("an error for a stream that is cut in a call", async () => {
  const stream = client.messages.stream({ model: "cut", ...ask });
  await assert.rejects(stream.finalMessage());
});

test("its own errors", async () => {
  const asked = client.messages.create({ model: "unknown", ...ask });
  await assert.rejects(asked, Anthropic.NotFoundError);
});
