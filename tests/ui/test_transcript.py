"""Messages of the chat, and the way back from a message to its request."""

from tests.ui.stories import begun, fold, new_view, node, switched, token
from tests.ui.test_view import timed_out, won
from ui.transcript import MORE, SHOWN, Conversation
from ui.wording import sentence


def texts(conversation):
    return [m["content"][0]["text"] for m in conversation.messages()]


def titles(conversation):
    return [m["metadata"]["title"] for m in conversation.messages() if "metadata" in m]


def test_a_prompt_is_followed_by_its_answer():
    conversation = Conversation([fold(*won())])
    assert texts(conversation)[:2] == ["Why TCP?", "Because packets."]


def test_while_it_runs_the_models_that_are_asked_are_named():
    assert texts(Conversation([fold(*begun())]))[1] == "*Asking star and cheap …*"


def test_a_switch_is_said_in_words_under_the_answer():
    view = fold(
        *begun(),
        token(114, "Because", "star"),
        switched(900, "fallback", "cheap", "stalled", len("Because")),
        token(901, "Passages", "cheap", "fallback"),
    )
    view.end(stopped=True)
    conversation = Conversation([view])
    assert "Passages" in texts(conversation)[1]
    assert "Because" not in texts(conversation)[1]
    assert titles(conversation)[0] == "⇄ cheap took over"


def test_a_late_answer_is_an_amendment_that_can_be_opened():
    late = {"type": "late", "provider": "star", "text": "So.", "latency_ms": 2500, "cost_usd": 0}
    conversation = Conversation([fold(*timed_out(), late)])
    amendment = conversation.messages()[-1]
    assert amendment["metadata"] == {
        "title": "star answered after all, after 2.50 s",
        "status": "done",
    }
    assert amendment["content"][0]["text"] == "So."


def test_the_losing_text_is_one_click_away():
    half = {"text": "Half an", "provider": "star", "outcome": "timed_out"}
    view = fold(*timed_out(), node(1101, "primary", "ended", half))
    assert titles(Conversation([view]))[-1] == "What star had to say"


def test_sources_are_listed():
    view = fold(*won())
    view.answer["sources"] = [
        {"source": "net/tcp.md", "title": "TCP", "score": 0.8, "text": "A handshake.\nTwo."}
    ]
    assert "1 source" in titles(Conversation([view]))


def test_every_message_leads_back_to_its_turn():
    conversation = Conversation([fold(*won()), fold(*timed_out())])
    count = len(conversation.messages())
    found = [conversation.turn_at(n) for n in range(count + 1)]
    assert found[0] == 0
    assert found[-2] == 1
    assert found[-1] is None
    assert sorted(found[:-1]) == found[:-1]


def test_history_holds_what_was_answered_and_leaves_out_what_failed():
    failed = new_view(prompt="Lost?")
    failed.end(error="nobody")
    conversation = Conversation([fold(*won()), failed])
    assert conversation.history() == [
        {"role": "user", "content": "Why TCP?"},
        {"role": "assistant", "content": "Because packets."},
    ]


def test_an_error_is_a_sentence():
    view = new_view()
    view.end(error="the prompt is empty; send some text")
    said = texts(Conversation([view]))[1]
    assert said.startswith("**No answer.** The prompt is empty; send some text")


def test_indentation_of_code_survives():
    view = fold(*begun(), token(114, "def f():\n    return 1", "star"))
    assert texts(Conversation([view]))[1] == "def f():\n    return 1"


def test_what_a_prompt_holds_is_not_markdown():
    view = new_view(prompt="![x](http://evil/x.png) <script>")
    assert "![x](" not in texts(Conversation([view]))[0]
    assert "<script>" not in texts(Conversation([view]))[0].replace("\\<", "")


def test_sentences_begin_and_end_as_such():
    assert sentence("no provider answered") == "No provider answered."
    assert sentence("Really?") == "Really?"


def test_a_turn_is_taken_up_once():
    conversation = Conversation()
    conversation.pending = new_view()
    assert conversation.running
    assert conversation.take_up() is not None
    assert conversation.take_up() is None
    assert conversation.running


def test_a_turn_that_is_over_still_shows_its_late_answer():
    view = fold(*timed_out())
    conversation = Conversation([view, fold(*won())])
    before = titles(conversation)
    late = {"type": "late", "provider": "star", "text": "So.", "latency_ms": 2500, "cost_usd": 0}
    fold(late, view=view)
    assert len(titles(conversation)) == len(before) + 1
    conversation.keep(0)
    conversation.turns.append(fold(*won()))
    assert texts(conversation)[1] == "Because packets."


def test_only_the_newest_turns_are_shown_until_earlier_ones_are_asked_for():
    conversation = Conversation([fold(*won()) for _ in range(100)])
    each = len(Conversation([fold(*won())]).messages())
    assert (conversation.earlier, len(conversation.messages())) == (100 - SHOWN, SHOWN * each)
    assert conversation.turn_at(0) == 100 - SHOWN
    conversation.show_earlier()
    assert conversation.earlier == 100 - SHOWN - MORE
    assert conversation.turn_at(0) == conversation.earlier
    conversation.show_earlier(every=True)
    assert (conversation.earlier, conversation.turn_at(0)) == (0, 0)
    conversation.fold()
    assert conversation.earlier == 100 - SHOWN


def test_calls_of_tools_are_folds_with_their_arguments_and_cannot_be_markdown():
    view = fold(*won())
    call = {"name": "look_<b>", "arguments": '{"a":1}'}
    view.text, view.answer["tool_calls"] = "", [{"id": "c", "type": "function", "function": call}]
    conversation = Conversation([view])
    assert texts(conversation)[1] == "*It calls a tool.*"
    assert titles(conversation)[0] == "Calls look\\_\\<b\\>"
    assert texts(conversation)[2] == '```json\n{\n  "a": 1\n}\n```'
