"""The chat: a conversation on the left, what happens inside on the right."""

from __future__ import annotations

from dataclasses import dataclass

import gradio as gr

from ui.blocks import AT_ONCE, STREAMED, widget
from ui.chat_service import ChatService
from ui.choices import categories, examples_of, providers, waits
from ui.handlers import Handlers, attachments
from ui.picture import empty
from ui.transcript import Conversation
from ui.wording import say

LATEX: list[dict[str, str | bool]] = [
    {"left": "$$", "right": "$$", "display": True},
    {"left": "\\[", "right": "\\]", "display": True},
    {"left": "\\(", "right": "\\)", "display": False},
]


@dataclass(frozen=True, slots=True)
class Parts:
    """The components that the handlers speak to."""

    talk: gr.Chatbot
    box: gr.Textbox
    category: gr.Dropdown
    provider: gr.Dropdown
    wait: gr.Dropdown
    examples: gr.HTML
    fresh: gr.Button
    picture: gr.HTML
    chats: gr.HTML
    attached: gr.HTML
    conversation: gr.State
    amended: gr.State


def chat_tab(demo: gr.Blocks, service: ChatService) -> None:
    """Lay out the chat and connect it."""
    with gr.Tab("Chat", id="chat") as tab:
        parts = _layout(service)
    _connect_asking(parts, Handlers(service))
    _connect_reading(demo, parts, Handlers(service))
    chosen = [parts.category, parts.provider]
    tab.select(Handlers(service).choices, None, chosen, **AT_ONCE)


def _layout(service: ChatService) -> Parts:
    settings = service.router.settings
    with gr.Row(elem_classes="rt-chat-row", equal_height=False):
        with gr.Column(scale=6, min_width=320, elem_classes="rt-talk-column"):
            chats = widget(
                "chats", {}, elem_id="chats", events=("restore", "earlier"), latest=False
            )
            talk = gr.Chatbot(
                elem_id="talk",
                label="Conversation",
                show_label=False,
                height="clamp(340px, calc(100dvh - 370px), 900px)",
                layout="panel",
                buttons=["copy"],
                allow_tags=False,
                latex_delimiters=LATEX,
                feedback_options=("Like", "Dislike"),
                placeholder=say("chat.ask_anything_each"),
            )
            box = gr.Textbox(
                elem_id="prompt",
                elem_classes="rt-prompt",
                label="Prompt",
                show_label=False,
                placeholder=say("chat.ask_anything_enter"),
                submit_btn="Send",
                stop_btn=False,
                lines=1,
                max_lines=8,
            )
            files = widget(
                "attached",
                attachments(Conversation()),
                elem_id="attached",
                events=("attach",),
                latest=False,
            )
            with gr.Row(elem_classes="rt-controls"):
                category = gr.Dropdown(
                    categories(settings), value="", label="Category", elem_id="category"
                )
                provider = gr.Dropdown(
                    providers(settings, service.display),
                    value="",
                    label="Model",
                    elem_id="provider",
                )
                wait = gr.Dropdown(
                    waits(),
                    value="",
                    label=say("chat.give_the_first"),
                    elem_id="wait",
                    min_width=120,
                )
                fresh = gr.Button("New conversation", elem_id="fresh", min_width=150)
            examples = widget("examples", examples_of(settings), elem_id="examples")
        with gr.Column(scale=5, min_width=320):
            shown = widget(
                "picture", empty(), elem_id="picture", events=("late", "edit"), latest=False
            )
    conversation = gr.State(Conversation())
    amended = gr.State(None)
    return Parts(
        talk=talk,
        box=box,
        category=category,
        provider=provider,
        wait=wait,
        examples=examples,
        fresh=fresh,
        picture=shown,
        chats=chats,
        attached=files,
        conversation=conversation,
        amended=amended,
    )


def _connect_asking(parts: Parts, do: Handlers) -> None:
    """Each way to ask begins at once, streams and gives the box back; where the primary may still
    come, its late answer is waited for."""
    terms = [parts.category, parts.provider, parts.wait, parts.conversation]
    cut = [parts.category, parts.wait, parts.conversation]
    shown = [parts.box, parts.talk, parts.picture, parts.chats, parts.attached]
    begun = (
        parts.box.submit(do.begin, [parts.box, *terms], shown, trigger_mode="multiple", **AT_ONCE),
        parts.examples.select(do.begin_example, terms, shown, trigger_mode="multiple", **AT_ONCE),
        parts.talk.retry(do.begin_again, terms, shown, trigger_mode="multiple", **AT_ONCE),
        parts.picture.edit(do.begin_edited, terms, shown, **AT_ONCE),
        parts.talk.option_select(do.go_on, cut, shown, **AT_ONCE),
    )
    for start in begun:
        start.then(do.respond, parts.conversation, [parts.talk, parts.picture], **STREAMED).then(
            do.idle, parts.conversation, shown, **AT_ONCE
        )
    parts.picture.late(
        do.wait_for_late, parts.conversation, parts.amended, trigger_mode="multiple", **STREAMED
    ).then(do.amend, [parts.conversation, parts.amended], [parts.talk, parts.picture], **AT_ONCE)
    parts.box.stop(do.stop, parts.conversation, None, **AT_ONCE)


def _connect_reading(demo: gr.Blocks, parts: Parts, do: Handlers) -> None:
    parts.talk.like(do.judge, parts.conversation, None, trigger_mode="multiple", **STREAMED)
    parts.picture.select(do.correct, parts.conversation, parts.picture, **AT_ONCE)
    parts.talk.select(do.look, parts.conversation, parts.picture, **AT_ONCE)
    begun_anew = [
        *(parts.conversation, parts.talk, parts.picture),
        *(parts.chats, parts.attached),
    ]
    parts.fresh.click(do.forget, parts.conversation, begun_anew, **AT_ONCE)
    brought_back = [*begun_anew, parts.category, parts.provider]
    parts.chats.restore(do.restore, parts.conversation, brought_back, **AT_ONCE)
    parts.chats.earlier(do.show_earlier, parts.conversation, [parts.talk, parts.chats], **AT_ONCE)
    parts.attached.attach(
        do.attach, parts.conversation, parts.attached, trigger_mode="multiple", **AT_ONCE
    )
    demo.unload(do.close)
    offered = [parts.category, parts.provider, parts.examples]
    demo.load(do.offer, None, offered, **AT_ONCE)
