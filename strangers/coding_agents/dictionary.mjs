// A tool server of MCP on its standard input and output, one JSON-RPC message a line.
import { createInterface } from "node:readline";
const tool = { name: "lookup", description: "Looks a word up.", inputSchema: { type: "object", properties: { word: { type: "string" } }, required: ["word"] } };
const answers = {
  initialize: (p) => ({ protocolVersion: p.protocolVersion, capabilities: { tools: {} }, serverInfo: { name: "dictionary", version: "1" } }),
  "tools/list": () => ({ tools: [tool] }),
  "tools/call": (p) => ({ content: [{ type: "text", text: `looked-up ${p.arguments.word}` }] }),
};
createInterface({ input: process.stdin }).on("line", (line) => {
  const { id, method, params } = JSON.parse(line);
  if (id === undefined) return;
  const result = answers[method]?.(params) ?? {};
  process.stdout.write(JSON.stringify({ jsonrpc: "2.0", id, result }) + "\n");
});
