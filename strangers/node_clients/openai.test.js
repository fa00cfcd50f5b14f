// client: OpenAI's Node client
// package: openai
// needs: `baseURL` with `/v1`
import assert from "node:assert/strict";
import { test } from "node:test";

import OpenAI from "openai";

const client = new OpenAI({
  baseURL: `${process.env.ROUTER_URL}/v1`,
  apiKey: process.env.ROUTER_KEY,
  maxRetries: 0,
});
const messages = [{ role: "user", content: "What is the weather in Lisbon?" }];
const parameters = {
  type: "object",
  properties: { city: { type: "string" } },
  required: ["city"],
  additionalProperties: false,
};
const tools = [{ type: "function", function: { name: "get_weather", parameters } }];
const answer = "The tools say: sunny in Lisbon";
const weather = ({ city }) => `sunny in ${city}`;

test("chat", async () => {
  const done = await client.chat.completions.create({ model: "auto", messages });
  assert.match(done.choices[0].message.content, /^word0/);
  assert.ok(done._request_id);
});

test("chat streamed", async () => {
  const stream = await client.chat.completions.create({ model: "auto", messages, stream: true });
  let text = "";
  for await (const chunk of stream) text += chunk.choices[0]?.delta.content ?? "";
  assert.match(text, /^word0/);
});

test("tools, run by the client", async () => {
  for (const model of ["auto", "broken"]) {
    const runnable = { name: "get_weather", parameters, function: weather, parse: JSON.parse };
    const run = client.chat.completions.runTools({
      model,
      messages,
      stream: true,
      tools: [{ type: "function", function: { ...runnable, description: "The weather." } }],
    });
    assert.equal(await run.finalContent(), answer);
  }
});

test("structured output", async () => {
  const schema = { name: "place", strict: true, schema: parameters };
  const done = await client.chat.completions.parse({
    model: "auto",
    messages,
    response_format: { type: "json_schema", json_schema: schema },
  });
  assert.ok(JSON.parse(done.choices[0].message.content).city);
});

test("responses with tools", async () => {
  const offered = [{ type: "function", name: "get_weather", parameters, strict: true }];
  const done = await client.responses.create({ model: "auto", input: messages, tools: offered });
  const [call] = done.output.filter((item) => item.type === "function_call");
  const output = weather(JSON.parse(call.arguments));
  const result = { type: "function_call_output", call_id: call.call_id, output };
  const input = [...messages, ...done.output, result];
  const stream = client.responses.stream({ model: "auto", input, tools: offered });
  assert.equal((await stream.finalResponse()).output_text, answer);
});

test("embeddings", async () => {
  const done = await client.embeddings.create({ model: "auto", input: "The sky is blue." });
  assert.equal(done.data[0].embedding.length, 384);
});

test("another provider for one that fails", async () => {
  const asked = { model: "broken", messages };
  const done = await client.chat.completions.create(asked);
  assert.ok(["scripted", "cheap"].includes(done.model), done.model);
  const streamed = await client.chat.completions.stream(asked).finalChatCompletion();
  assert.match(streamed.choices[0].message.content, /^word0/);
  const said = await client.responses.create({ model: "broken", input: messages });
  assert.match(said.output_text, /^word0/);
});

test("an error for a stream that is cut in a call", async () => {
  const stream = client.chat.completions.stream({ model: "cut", messages, tools });
  await assert.rejects(stream.finalChatCompletion());
});

test("its own errors", async () => {
  await assert.rejects(
    client.chat.completions.create({ model: "unknown", messages }),
    OpenAI.NotFoundError,
  );
});
