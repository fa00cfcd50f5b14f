// client: Codex (command line)
// package: @openai/codex
// needs: `examples/codex.toml` as `~/.codex/config.toml`; it says that it knows no metadata of `auto`
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";

const home = mkdtempSync(join(tmpdir(), "codex-"));
const example = readFileSync(join(process.env.PROJECT, "examples", "codex.toml"), "utf8");
const config = example.replace("http://127.0.0.1:7860", process.env.ROUTER_URL);
const dictionary = [process.execPath, join(import.meta.dirname, "dictionary.mjs")].map(JSON.stringify);
const servers = `\n[mcp_servers.dictionary]\ncommand = ${dictionary[0]}\nargs = [${dictionary[1]}]\n`;
writeFileSync(join(home, "config.toml"), config + servers);
after(() => rmSync(home, { recursive: true, force: true }));

// What Codex says, event by event; it may run one command, which the scripted model is given.
function codex(model, prompt) {
  const command = ["exec", "--json", "--skip-git-repo-check", "-m", model];
  command.push("--dangerously-bypass-approvals-and-sandbox", prompt);
  const env = { ...process.env, HOME: home, CODEX_HOME: home };
  const path = join(import.meta.dirname, "node_modules", ".bin", "codex");
  const stdio = ["ignore", "pipe", "inherit"];
  return new Promise((resolve) => {
    const child = spawn(path, command, { cwd: home, env, stdio, timeout: 120_000 });
    let said = "";
    child.stdout.on("data", (piece) => (said += piece));
    child.on("close", (code) => resolve({ code, said, events: events(said) }));
  });
}

const events = (said) => said.trim().split("\n").map((line) => JSON.parse(line));
const messages = (run) =>
  run.events.filter((e) => e.item?.type === "agent_message").map((e) => e.item.text);
const order = "Use exec_command to say 'echo it-works'";

test("a question", async () => {
  const run = await codex("auto", "Why is the sky blue?");
  assert.equal(run.code, 0, run.said);
  assert.match(messages(run).at(-1), /^word0/);
});

test("a command that it runs", async () => {
  for (const model of ["auto", "broken"]) {
    const run = await codex(model, order);
    const ran = run.events.filter((e) => e.item?.type === "command_execution");
    assert.match(ran.at(-1)?.item.aggregated_output ?? run.said, /^it-works/);
    assert.match(messages(run).at(-1), /^The tools say:/);
  }
});

test("a tool of an MCP server", async () => {
  const run = await codex("auto", "Use mcp__dictionary__lookup to say 'tree'");
  const called = run.events.filter((e) => e.item?.type === "mcp_tool_call");
  assert.equal(called.at(-1)?.item.status, "completed", run.said);
  assert.match(messages(run).at(-1), /^The tools say: .*looked-up tree/s);
});

test("an error for a stream that is cut in a call", async () => {
  const run = await codex("cut", order);
  assert.equal(run.events.at(-1).type, "turn.failed", run.said);
});
