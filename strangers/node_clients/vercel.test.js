// client: Vercel's AI SDK
// package: ai
// needs: `baseURL` with `/v1` (Anthropic's provider too). Its default, Responses, replays a turn by reference unless `providerOptions: {openai: {store: false}}` is set, which several steps with tools need; `openai.chat("auto")` and `createOpenAICompatible` (for objects with `supportsStructuredOutputs: true`) do not
import assert from "node:assert/strict";
import { test } from "node:test";

import { createAnthropic } from "@ai-sdk/anthropic";
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { generateObject, generateText, stepCountIs, streamText, tool } from "ai";
import { z } from "zod";

const how = { baseURL: `${process.env.ROUTER_URL}/v1`, apiKey: process.env.ROUTER_KEY };
const openai = createOpenAI(how);
const compatible = createOpenAICompatible({
  ...how,
  name: "router",
  supportsStructuredOutputs: true,
});
const models = {
  responses: openai,
  chat: openai.chat,
  compatible,
  messages: createAnthropic(how),
};
const prompt = "What is the weather in Lisbon?";
const answer = "The tools say: sunny in Lisbon";
const tools = {
  get_weather: tool({
    description: "The weather in a city.",
    inputSchema: z.object({ city: z.string() }),
    execute: async ({ city }) => `sunny in ${city}`,
  }),
};
const providerOptions = { openai: { store: false } };
const asked = { prompt, maxRetries: 0, providerOptions };
const quietly = () => {};

for (const [name, model] of Object.entries(models)) {
  test(`generateText through ${name}`, async () => {
    const said = await generateText({ model: model("auto"), prompt, maxRetries: 0 });
    assert.match(said.text, /^word0/);
    assert.ok(said.usage.totalTokens > 0);
  });

  test(`streamText through ${name}`, async () => {
    const stream = streamText({ model: model("auto"), prompt, maxRetries: 0 });
    assert.match(await stream.text, /^word0/);
  });

  test(`tools in several steps through ${name}`, async () => {
    for (const named of ["auto", "broken"]) {
      const steps = { model: model(named), ...asked, tools, stopWhen: stepCountIs(3) };
      assert.equal((await generateText(steps)).text, answer);
      assert.equal(await streamText(steps).text, answer);
    }
  });

  test(`generateObject through ${name}`, async () => {
    const schema = z.object({ city: z.string() });
    const said = await generateObject({ model: model("auto"), ...asked, schema });
    assert.ok(said.object.city);
  });

  test(`an error for a stream that is cut in a call through ${name}`, async () => {
    const stream = streamText({ model: model("cut"), ...asked, tools, onError: quietly });
    const kinds = [];
    for await (const part of stream.fullStream) kinds.push(part.type);
    assert.ok(kinds.includes("error"), kinds.join(" "));
  });
}
