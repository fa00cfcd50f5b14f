"""What providers really send, as data: each kind that was reported in public, and its relatives.

`docs/faults.md` is made from it. The inputs are our own; `seen` names the repositories where the
like was reported.
"""

from __future__ import annotations

import json

from tests.wall.replies import (
    ANSWER,
    CUT,
    DONE,
    HALF,
    OWN_WORD,
    REST,
    SHOWN,
    STOP,
    WHOLE,
    Case,
    at_once,
    byte_by_byte,
    chunk,
    completion,
    event,
    every,
    refusal,
    text,
    thought,
)

GOOD = (HALF, REST, STOP, DONE)
JSON = "application/json"


def broken(name: str, *pieces: bytes, error: str = "server", **more: object) -> Case:
    """Half an answer, then what makes it none."""
    return Case(name, at_once(CUT, *pieces), None, error, SHOWN, calls=2, **more)  # type: ignore[arg-type]


def counted(name: str, given: object, taken: tuple[int, int] | None, seen: str = "") -> Case:
    held = {"id": "c", "object": "chat.completion.chunk", "choices": [], "usage": given}
    return Case(name, at_once(HALF, REST, STOP, event(held), DONE), usage=taken, seen=seen)


USAGE = [
    counted("true counts", {"prompt_tokens": 7, "completion_tokens": 5}, (7, 5)),
    counted(
        "a negative count",
        {"prompt_tokens": 20, "completion_tokens": -35},
        None,
        "64bit/async-openai#404, pollinations/pollinations#7020",
    ),
    counted(
        "a negative count, a positive cost", {"prompt_tokens": 1151, "completion_tokens": -35}, None
    ),
    counted("a count beyond 64 bits", {"prompt_tokens": 2**63, "completion_tokens": 5}, None),
    counted("a count beyond any context", {"prompt_tokens": 7, "completion_tokens": 10**10}, None),
    counted("whole floats", {"prompt_tokens": 7.0, "completion_tokens": 5.0}, (7, 5)),
    counted("digits as text", {"prompt_tokens": "7", "completion_tokens": "5"}, (7, 5)),
    counted("half a token", {"prompt_tokens": 7.5, "completion_tokens": 5}, None),
    counted("null counts", {"prompt_tokens": None, "completion_tokens": None}, None),
    counted("truth values for counts", {"prompt_tokens": True, "completion_tokens": True}, None),
    counted("no tokens for a text", {"prompt_tokens": 7, "completion_tokens": 0}, None),
    counted("a list for usage", [7, 5], None),
    counted("Gemini's names", {"promptTokenCount": 7, "candidatesTokenCount": 5}, (7, 5)),
    counted("Bedrock's names", {"inputTokens": 7, "outputTokens": 5}, (7, 5)),
    counted("Anthropic's names", {"input_tokens": 7, "output_tokens": 5}, (7, 5)),
    Case(
        "usage where Groq puts it",
        at_once(
            HALF,
            REST,
            event(
                {
                    "id": "c",
                    "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}],
                    "x_groq": {"usage": {"prompt_tokens": 7, "completion_tokens": 5}},
                }
            ),
            DONE,
        ),
        usage=(7, 5),
    ),
]

LATE_CODE = b'data: {"error": {"message": "late", "code": 500}}\n\n'

ENDS = [
    broken(
        "finish_reason `error`",
        chunk({"content": ""}, "error"),
        DONE,
        detail="error",
        seen="maximhq/bifrost#5425, mistralai/client-python#74, camel-ai/camel#4266",
    ),
    broken("finish_reason `abort`", chunk({}, "abort"), DONE, detail="abort",
           seen="vllm-project/vllm#57082"),
    broken("an unknown finish_reason", chunk({}, "gone_fishing"), DONE,
           detail="gone_fishing"),
    broken("Gemini's MALFORMED_FUNCTION_CALL", chunk({}, "MALFORMED_FUNCTION_CALL"), DONE),
    broken("DeepSeek's insufficient_system_resource",
           chunk({}, "insufficient_system_resource"), DONE),
    Case(f"a word that the configuration explains: `{OWN_WORD}`",
         at_once(HALF, REST, chunk({}, OWN_WORD), DONE)),
    Case(
        "a whole object with finish_reason `error`",
        at_once(json.dumps(completion(SHOWN, "error")).encode()),
        None,
        "server",
        calls=2,
        content_type=JSON,
    ),
    broken(
        "an error inside the choice",
        chunk({"content": ""}, "error", error={"code": 502, "message": "upstream gone"}),
        DONE,
        detail="upstream gone",
        seen="OpenRouter's documentation, diegosouzapw/OmniRoute#8210",
    ),
    broken("an error inside the delta", chunk({"error": {"message": "upstream gone"}}), DONE),
    broken("an error event without choices", event({"object": "error", "message": "engine gone",
           "code": 500}), DONE, detail="engine gone", seen="vllm-project/guidellm#743"),
    broken("an event that says `failed`",
           event({"id": "c", "status": "failed", "message": "engine gone"}), DONE),
    broken("an error under any event name",
           event({"message": "engine gone"}, "stream.failed"), DONE),
    broken("an error as a list", event([{"error": {"message": "engine gone"}}]), DONE),
    broken("an error under its event's name, without words", b"event: error\ndata:\n\n", DONE),
    broken("an error in a field of its own", b'error: {"message": "engine gone"}\n\n', DONE,
           detail="engine gone"),
    broken("an error as text", b"data: Internal Server Error\n\n", DONE),
    broken("an error on a line of its own", b'{"error": {"message": "engine gone"}}\n\n', DONE,
           detail="engine gone"),
    broken("a top-level error", event({"error": {"message": "overloaded", "code": 503}})),
    broken("a top-level error as text", event({"error": "engine gone"})),
    broken("MiniMax's base_resp",
           event({"base_resp": {"status_code": 1000, "status_msg": "unknown error"}})),
    broken("an error under a capital letter",
           event({"Error": {"Code": "x", "Message": "engine gone"}}), DONE, detail="engine gone"),
    broken("an error in an envelope", event({"type": "response.failed", "response": {"error":
           {"code": "server_error", "message": "engine gone"}}}), DONE, detail="engine gone"),
    broken("an error by its type alone", event({"__type": "ThrottlingException"}), DONE,
           error="rate_limited"),
    broken("an error by its status alone", event({"statusCode": 500}), DONE),
    broken("an error by its number", event({"errcode": 5, "errmsg": "engine gone"}), DONE,
           detail="engine gone"),
    broken("an error by `ok: false`", event({"ok": False, "description": "engine gone"}), DONE,
           detail="engine gone"),
    Case("no error: an envelope with none", at_once(HALF, event({"code": 0, "data": {"error":
         None, "status": "ok"}}), REST, STOP, DONE)),
    Case("no error: a member with nothing in it", at_once(
        event({"choices": [{"index": 0, "delta": {"content": WHOLE}}], "error": None}),
        event({"choices": [], "error": {"code": 0, "message": ""}}), STOP, DONE)),
    *(
        Case(f"finish_reason `{word}` for length", at_once(HALF, REST, chunk({}, word), DONE),
             finish="length", seen=seen)
        for word, seen in (("model_length", "camel-ai/camel#4266"), ("MAX_TOKENS", ""),
                           ("max_output_tokens", ""), ("maxTokens", ""),
                           ("length_limit", ""), ("FINISH_REASON_MAX_TOKENS", ""))
    ),
    *(
        Case(f"finish_reason `{word}` for a plain end", at_once(HALF, REST, chunk({}, word), DONE))
        for word in ("STOP", "end_turn", "eos", "eos_token", "COMPLETE", "stop_sequence",
                     "endTurn", "<|eot_id|>", "done")
    ),
    *(
        Case(f"finish_reason `{word}` for a filter", at_once(CUT, chunk({}, word), DONE), None,
             "content_filter", SHOWN, seen=seen)
        for word, seen in (("SAFETY", "CherryHQ/cherry-studio#696"), ("content_filter", ""),
                           ("content_filter: SAFETY", ""), ("PROHIBITED_CONTENT", ""),
                           ("refusal", ""), ("RECITATION", ""), ("contentFilter", ""),
                           ("MODEL_ARMOR", ""), ("flagged", ""))
    ),
    Case(
        "a finish_reason on a thought",
        every(0.2, thought("hm", "stop"), HALF, text("an "), text("answer."), STOP, DONE),
        reasoning="hm",
        seen="open-webui/open-webui#16377",
    ),
    Case(
        "more content after a finish_reason",
        every(0.2, HALF, text("an "), chunk({"content": ""}, "stop"), text("answer"), text("."),
              STOP, DONE),
        seen="PawanOsman/OpenCursor#88",
    ),
    Case("a finish_reason on every chunk",
         every(0.2, text("Half ", "stop"), text("an ", "stop"), text("answer.", "stop"), DONE),
         seen="lhenault/simpleAI#39"),
    Case("the word `null` on every chunk",
         every(0.02, text("Half ", "null"), text("an answer.", "null"), STOP, DONE)),
    Case("the number 0 as finish_reason on every chunk",
         every(0.02, text("Half ", 0), text("an answer.", 0), STOP, DONE)),
    Case("an empty finish_reason on every chunk",
         every(0.02, text("Half ", ""), text("an answer.", ""), STOP, DONE)),
    Case("a finish_reason and then nothing, the connection open", at_once(HALF, REST, STOP),
         ending="silence", within_s=1.5),
    Case("a finish_reason and then a reset", at_once(HALF, REST, STOP), ending="rst"),
    Case("[DONE] and then nothing, the connection open", at_once(HALF, REST, DONE),
         ending="silence", within_s=0.4),
    Case("an error after a complete answer", at_once(HALF, REST, STOP, LATE_CODE),
         seen="ENTERPILOT/GoModel#1017"),
    Case("half an event after a complete answer", at_once(HALF, REST, STOP, b'data: {"cho\n\n')),
    Case("cut in good order, without an end", at_once(CUT), None, "connection", SHOWN, calls=2),
    Case("cut in the middle of an event", at_once(CUT, b'data: {"choices": [{"de'), None,
         "connection", SHOWN, calls=2, ending="close"),
    Case("silent in the middle", at_once(CUT), None, "timeout", SHOWN, ending="silence"),
    Case("a malformed event in the middle", at_once(CUT, b'data: {"choices": [{"delta\n\n', REST,
         STOP, DONE), None, "bad_reply", SHOWN),
    Case("a chunk that lost its choices", at_once(CUT, event({"object": "chat.completion.chunk",
         "choXces": []}), STOP, DONE), None, "bad_reply", SHOWN),
    Case("a complete but empty answer", at_once(STOP, DONE), None, "bad_reply"),
    Case("thoughts without an answer", at_once(thought("hm"), chunk({}, "length"), DONE), None,
         "bad_reply", reasoning="hm", detail="raise max_tokens"),
    *(
        Case(f"an end mark as `{mark}`", at_once(HALF, REST, f"data: {mark}\n\n".encode()))
        for mark in ("[done]", '"[DONE]"', " [DONE]")
    ),
    Case("tool calls without offered tools", at_once(chunk({"tool_calls": [{"index": 0,
         "id": "a", "function": {"name": "f", "arguments": "{}"}}]}), chunk({}, "tool_calls"),
         DONE), None, "bad_reply"),
]  # fmt: skip

NOISE = [
    Case("a byte-order mark", at_once(b"\xef\xbb\xbf", *GOOD),
         seen="assistant-ui/assistant-ui#6954"),
    Case("a byte-order mark, byte by byte", byte_by_byte(b"\xef\xbb\xbf", *GOOD)),
    Case("pings", at_once(event({"type": "ping"}), HALF, event({}, "ping"), REST, STOP, DONE),
         seen="openai-php/client#555, anthropics/anthropic-sdk-typescript#734"),
    Case("pings that are text", at_once(b"data: ping\n\n", HALF, b"data: keep-alive\n\n", REST,
         STOP, DONE)),
    Case("empty data", at_once(b"data:\n\n", HALF, b"data: \n\n", REST, STOP, DONE),
         seen="Growth-Circle/cadis#2329, netease-lcap/wave-agent#1326"),
    Case("empty values", at_once(event(None), HALF, event([]), event(""), REST, STOP, DONE)),
    Case("comments, hints, ids", at_once(b": busy\n\nretry: 100\nid: 7\n\n", *GOOD)),
    Case("unknown fields", at_once(b"foo: bar\n", *GOOD)),
    Case("foreign event names", at_once(b"event: delta\n", HALF, b"event: message\n", REST, STOP,
         DONE)),
    Case("Azure's prelude", at_once(event({"id": "", "object": "", "choices": [],
         "prompt_filter_results": [{}]}), chunk(None), *GOOD)),
    Case("no space after data:", at_once(b"".join(GOOD).replace(b"data: ", b"data:"))),
    *(
        Case(f"lines that end in {name}", at_once(b"".join(GOOD).replace(b"\n", end)))
        for name, end in (("CRLF", b"\r\n"), ("CR", b"\r"))
    ),
    Case("byte by byte", byte_by_byte(*GOOD)),
    Case("events without blank lines between them",
         at_once(b"".join(GOOD).replace(b"\n\n", b"\n"), b"\n")),
    Case("an event over several data lines", at_once(b'data: {"choices":\ndata: [{"delta":\n'
         b'data: {"content": "Half an answer."}}]}\n\n', STOP, DONE)),
    Case("characters cut between bytes", byte_by_byte(text("Größe: 5 € 👀"), STOP, DONE),
         says="Größe: 5 € 👀"),
    Case("a pair of surrogates in two events", at_once(
        b'data: {"choices": [{"delta": {"content": "eyes \\ud83d"}}]}\n\n',
        b'data: {"choices": [{"delta": {"content": "\\udc40!"}}]}\n\n', STOP, DONE),
         says="eyes 👀!"),
    Case("the bytes of a character in two events", at_once(
        b'data: {"choices": [{"delta": {"content": "5 \xe2\x82"}}]}\n\n',
        b'data: {"choices": [{"delta": {"content": "\xac!"}}]}\n\n', STOP, DONE), says="5 €!"),
    Case("bytes that are no character", at_once(CUT,
         b'data: {"choices": [{"delta": {"content": "5 \xff"}}]}\n\n', STOP, DONE), None,
         "bad_reply", SHOWN),
    Case("bytes that are not a member's name", at_once(CUT,
         b'data: {"choices": [{"del\xff": {"content": "more"}}]}\n\n', STOP, DONE), None,
         "bad_reply", SHOWN),
    Case("NaN beside the content", at_once(
        b'data: {"choices": [{"delta": {"content": "Half an answer."}, "logprobs": NaN}]}\n\n',
        STOP, DONE)),
    Case(
        "a last chunk with the whole message",
        at_once(HALF, REST, chunk({}, "stop", message={"role": "assistant", "content": WHOLE}),
                DONE),
        seen="abundantbeing/hermes-browser-extension#11",
    ),
    Case("the same without a delta",
         at_once(HALF, REST, chunk(None, "stop", message={"content": WHOLE}), DONE)),
    Case("the same beside an empty delta", at_once(HALF, REST, chunk({"content": ""}, "stop",
         message={"content": WHOLE}), DONE), seen="perplexityai/api-discussion#209"),
    Case("a last delta with the whole message", at_once(HALF, REST, text(WHOLE, "stop"), DONE),
         seen="infiniflow/ragflow#15286"),
    Case("a delta with the whole message before the last", at_once(HALF, REST, text(WHOLE), STOP,
         DONE)),
    Case("messages instead of deltas", at_once(chunk(None, message={"content": "Half "}),
         chunk(None, "stop", message={"content": "an answer."}), DONE)),
    Case("tokens that are numbers", at_once(text("It costs $"), chunk({"content": 0}), text("."),
         chunk({"content": 5}), text(" or "), chunk({"content": 1.5}), STOP, DONE),
         says="It costs $0.5 or 1.5", seen="cloudflare/ai#651, mastra-ai/mastra#18289"),
    Case("one object whose content is a number", at_once(json.dumps(completion(42)).encode()),
         content_type=JSON, says="42"),
    Case("legacy text that is a number", at_once(chunk(None, text="Half "), chunk(None, text=0),
         chunk(None, "stop", text="."), DONE), says="Half 0."),
    Case("legacy text instead of deltas", at_once(chunk(None, text="Half "),
         chunk(None, "stop", text="an answer."), DONE)),
    *(
        Case(f"a stream as {kind or 'nothing at all'}", at_once(*GOOD), content_type=kind,
             seen=seen)
        for kind, seen in (("text/plain", "54xzh/FLIT#71"), ("application/octet-stream",
                           "atopos31/llmio#2"), (JSON, "openclaw/openclaw#96497"), ("", ""),
                           ("application/x-ndjson", ""))
    ),
    Case("chunks a line, without events", at_once(b"".join(GOOD[:3]).replace(b"data: ", b"")),
         content_type="application/x-ndjson"),
    Case("another status of success", at_once(*GOOD), status=201),
    Case("one object instead of a stream", at_once(json.dumps(completion(WHOLE)).encode()),
         content_type=JSON),
    Case("one object, written over many lines",
         at_once(json.dumps(completion(WHOLE), indent=2).encode()), content_type=JSON),
    Case("one object without a finish_reason",
         at_once(json.dumps(completion(WHOLE, None)).encode()), content_type=JSON),
    Case("one object as an event stream", at_once(json.dumps(completion(WHOLE)).encode()),
         seen="tinyhumansai/tinyagents#56"),
    Case("an error as an event stream",
         at_once(b'{"error": {"message": "the model is gone", "code": 503}}'), None, "server",
         calls=2, detail="the model is gone", seen="tinyhumansai/tinyagents#56"),
    Case("an error as one object", at_once(b'[{"error": {"message": "it broke", "code": 500}}]'),
         None, "server", calls=2, content_type=JSON),
    Case("an error as plain text", at_once(b"Internal Server Error"), None, "server", calls=2,
         content_type="text/plain", detail="Internal Server Error"),
    Case("a page", at_once(b"<!DOCTYPE html><h1>Welcome</h1>"), None, "bad_reply",
         content_type="text/html", detail="Welcome"),
    Case("half an object", at_once(b'{"choices": [{"message": {"content": "Half'), None,
         "connection", content_type=JSON, calls=2),
    Case("content in typed parts", at_once(chunk({"content": [{"type": "text", "text": "Half "}]}),
         chunk({"content": {"type": "text", "text": "an answer."}}), STOP, DONE)),
    Case("thoughts in typed parts", at_once(chunk({"content": [{"type": "thinking", "thinking":
         [{"type": "text", "text": "hm"}]}]}), *GOOD), reasoning="hm"),
    Case("thoughts inside the content", at_once(text("<think>"), text("hm"), text("</think>"),
         text("\n\n"), *GOOD), reasoning="hm", seen="RooCodeInc/Roo-Code#1087, open-webui#8706"),
    Case("thoughts whose mark is cut", at_once(text("<th"), text("ink>h"), text("m</thi"),
         text("nk>Half "), REST, STOP, DONE), reasoning="hm"),
    *(
        Case(f"thoughts after `{mark}`", at_once(text(f"{mark}hm{end}"), *GOOD), reasoning="hm")
        for mark, end in (("<THINK>", "</THINK>"), ("<|START_THINKING|>", "<|END_THINKING|>"),
                          ("<|begin_of_thought|>", "<|end_of_thought|>"))
    ),
    Case("Magistral's thoughts", at_once(text("[THINK]hm[/THINK]"), *GOOD), reasoning="hm"),
    Case("a mark of thoughts in the middle", at_once(text("The tag <think> opens."), STOP, DONE),
         says="The tag <think> opens."),
    Case("an answer that begins like a mark", at_once(text("<"), text("3 you"), STOP, DONE),
         says="<3 you"),
    Case("thoughts opened by the prompt, in one piece", at_once(text("hm\n</think>\n\nHalf "), REST,
         STOP, DONE), reasoning="hm\n", seen="vllm-project/vllm#12999, DeepSeek-R1#352"),
    Case("thoughts that were skipped", at_once(text("</think>"), text("\n\nHalf "), REST, STOP,
         DONE)),
    Case("only thoughts inside the content", at_once(text("<think>hm hm"), STOP, DONE), None,
         "bad_reply", reasoning="hm hm"),
    Case("reasoning fields", at_once(chunk({"reasoning": "hm"}), *GOOD), reasoning="hm"),
    Case("a byte-order mark after blank lines, and a second one", at_once(b"\n\n\xef\xbb\xbf",
         b"\xef\xbb\xbf", *GOOD)),
    Case("a byte-order mark before each event", at_once(*(b"\xef\xbb\xbf" + e for e in GOOD))),
    *(
        Case(f"fields as `{field}`", at_once(b"".join(GOOD).replace(b"data: ", field.encode())))
        for field in ("Data: ", " data: ", "data : ", "data: data: ")
    ),
    Case("a completion in an envelope", at_once(json.dumps({"success": True, "errors": [],
         "result": completion(WHOLE)}).encode()), content_type=JSON),
    Case("a second choice before the first", at_once(event({"choices": [{"index": 1, "delta":
         {"content": "two"}}, {"index": 0, "delta": {"content": "Half "}}]}), REST, STOP, DONE)),
    Case("a single delta and the whole message again", at_once(text(WHOLE), text(WHOLE, "stop"),
         DONE)),
    Case("a second choice", at_once(HALF, chunk({"content": "two"}, index=1), REST, STOP, DONE)),
]  # fmt: skip


def error(message: object = "no", **fields: object) -> dict[str, object]:
    return {"error": {"message": message, **fields}}


REFUSALS = [
    refusal("a wrong key as 400, Google's", 400, [error("The key is not accepted.", code=400,
            status="INVALID_ARGUMENT", details=[{"reason": "API_KEY_INVALID"}])],
            error="auth", breaker="open", seen="yym68686/uni-api#140, thedotmack/claude-mem#1614"),
    refusal("a wrong key as 400, xAI's", 400, {"code": "Client specified an invalid argument",
            "error": "Incorrect API key provided: x***z."}, error="auth", breaker="open"),
    refusal("a 429 that names its time in the body", 429, [error("Quota used up.", code=429,
            status="RESOURCE_EXHAUSTED", details=[{"@type":
            "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "52s"}])],
            error="rate_limited", wait_s=52.0, breaker="open", seen="BerriAI/litellm#25507"),
    refusal("a 429 that names its time in its words", 429, error("Please try again in 27.66s."),
            error="rate_limited", wait_s=27.66, breaker="open"),
    refusal("a 429 that names its time in another header", 429, error(), error="rate_limited",
            headers={"x-ratelimit-reset-requests": "27.66s"}, wait_s=27.66, breaker="open"),
    refusal("a 429 that names its time in milliseconds", 429, error(), error="rate_limited",
            headers={"retry-after-ms": "20500"}, wait_s=20.5, breaker="open"),
    refusal("a 429 with Retry-After", 429, error(), error="rate_limited",
            headers={"retry-after": "30"}, wait_s=30.0, breaker="open"),
    refusal("a 503 with Retry-After", 503, error(), error="server",
            headers={"retry-after": "20"}, wait_s=20.0, breaker="open"),
    *(
        refusal(f"a 429 that names its time as `{words}`", 429, error(words),
                error="rate_limited", wait_s=wait_s, breaker="open")
        for words, wait_s in (("Retry after: 30", 30.0), ("Limit resets in 00:01:30", 90.0),
                              ("Try again in a minute", 60.0), ("come back in 45 s", 45.0))
    ),
    *(
        refusal(f"a 429 with `{name}: {value}` in its body", 429, error(**{name: value}),
                error="rate_limited", wait_s=30.0, breaker="open")
        for name, value in (("retry_in", 30), ("retryAfterMs", 30000), ("retry_after", "PT30S"))
    ),
    *(
        refusal(f"a 429 with the header `{name}`", 429, error(), error="rate_limited",
                headers={name: value}, wait_s=30.0, breaker="open")
        for name, value in (("x-retry-after", "30"), ("ratelimit", '"default";r=0;t=30'),
                            ("x-rate-limit-reset", "30"))
    ),
    refusal("a wrong key as 400, by its header", 400, {"message": "Authorization header is"
            " malformed"}, error="auth", breaker="open"),
    refusal("a wrong key as 400, AWS's", 400, {"__type": "com.amazon#ExpiredTokenException"},
            error="auth", breaker="open"),
    Case("a limit by the event's name", at_once(event({"message": "no"}, "throttlingException")),
         None, "rate_limited"),
    Case("a limit by the member's name", at_once(event({"throttlingException": {"message":
         "no"}})), None, "rate_limited"),
    refusal("a 429 without a time", 429, error(), error="rate_limited"),
    refusal("a parameter that a model refuses", 400, error("'stop' is not supported",
            param="stop", code="unsupported_parameter"), error="bad_request",
            options={"stop": ["END"]},
            seen="BerriAI/litellm#14056, langgenius/dify#18971, FlowiseAI/Flowise#5046"),
    refusal("a 422 without a known cause", 422, {"detail": "no"}, error="bad_request"),
    refusal("a 402 about this request alone", 402, error("You asked for max_tokens 4096 and can pay"
            " for 2000; ask for fewer max_tokens.", code=402), error="bad_request",
            seen="can1357/oh-my-pi#9569"),
    refusal("a 402 about the account", 402, error("Insufficient Balance"), error="auth",
            breaker="open", detail="wants credit first"),
    refusal("a 413 that is a rate limit", 413, error("Too large: tokens per minute (TPM) limit"
            " 6000, asked 8012.", type="tokens", code="rate_limit_exceeded"), error="rate_limited",
            seen="openclaw/openclaw#147644, assafelovic/gpt-researcher#985"),
    refusal("a prompt too long", 400, error(code="context_length_exceeded"),
            error="context_length"),
    refusal("a model that is gone", 400, error(code="model_decommissioned"), error="not_found",
            breaker="open", seen="rashadphz/farfalle#107"),
    Case("a rate limit in the stream, before text", at_once(event(error("slow down", type="tokens",
         code="rate_limit_exceeded"))), None, "rate_limited",
         seen="apache/rocketmq-dashboard#2178, BerriAI/litellm#6957"),
    Case("overload in the stream, before text", at_once(event({"type": "error", "error":
         {"type": "overloaded_error", "message": "busy"}}, "error")), None, "rate_limited"),
    Case("a limit in the stream that names its time", at_once(event(error("try again in 40s",
         code=429))), None, "rate_limited", wait_s=40.0, breaker="open"),
    refusal("a redirect to what is no address", 301, {}, error="bad_reply",
            headers={"location": "http://[::1"}),
    refusal("a proxy that wants a password", 407, {}, error="connection", calls=2),
    refusal("a lasting 500", 500, error(), error="server", calls=2),
    refusal("a refusal by a filter", 400, error(code="content_policy_violation"),
            error="content_filter"),
]  # fmt: skip

SECTIONS: dict[str, list[Case]] = {
    "Counts that cannot be true": USAGE,
    "Ends, and ends that are none": ENDS,
    "Noise and odd forms": NOISE,
    "Refusals": REFUSALS,
}
CASES = [case for cases in SECTIONS.values() for case in cases]

__all__ = ["ANSWER", "CASES", "SECTIONS"]
