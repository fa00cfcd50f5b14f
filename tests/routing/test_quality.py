"""The form of answers, on examples written for this test."""

from __future__ import annotations

import pytest

from benchmarks import answers
from routing.language import language
from routing.quality import FACTORS, RepetitionGuard, faults, quality, quality_of_calls

GOOD = [
    ("What is the capital of Australia?", "Canberra."),
    ("Why is the sky blue?", "Air scatters short waves more than long ones, so blue reaches us."),
    (
        "Write a haiku about rain",
        "Soft rain on the roof\nthe garden drinks\na frog says thanks",
    ),
    ("2+2?", "4"),
    ("Write a loop in C", '```c\nfor (int i = 0; i < 10; i++) printf("%d", i);\n```'),
    (
        "Translate 'good morning' into Spanish",
        "Buenos días: así se dice, y es muy común.",
    ),
    (
        "¿Cuál es la capital de Francia?",
        "La capital de Francia es París, en el norte.",
    ),
    (
        "Was ist die Hauptstadt von Italien?",
        "Die Hauptstadt von Italien ist Rom.",
    ),
    ("法国的首都是哪里?", "法国的首都是巴黎。"),
    (
        "Can I eat raw beans?",
        "I'm afraid not: raw beans hold lectin and make you ill.",
    ),
    ("Make a table", "| a | b |\n|---|---|\n| 1 | 2 |\n" + "| 3 | 4 |\n" * 3),
    ("Say sorry to my landlord", "I am so sorry for the late rent. I will transfer it on Friday."),
    (
        "What can't AI do?",
        "As an AI question this is broad: planning and memory are hard.",
    ),
]
BAD = [
    ("Why?", "", "empty"),
    ("Why?", " \n…\n ", "empty"),
    ("How do I boil an egg?", "I'm sorry, but I can't help with that request.", "refusal"),
    ("Tell me a joke", "As an AI language model, I cannot tell jokes.", "refusal"),
    ("Tell me a joke", "I cannot assist with that.", "refusal"),
    ("Tell me a joke", "Sorry, I can't do that.", "refusal"),
    ("Cuéntame un chiste", "Lo siento, pero no puedo ayudarte con eso.", "refusal"),
    ("Why is the sky blue?", "The sky is blue. " * 60, "looping"),
    ("List three fruits", "apple, pear, plum, " * 40, "looping"),
    (
        "Why is the sky blue and what is the reason for it?",
        "El cielo es azul por la luz que se dispersa en el aire, y la luz roja no se dispersa.",
        "language",
    ),
    ("What is the best way to learn the piano?", "练习钢琴最好的方法是每天练习。", "language"),
    ("Write a function", "Here it is:\n```python\ndef f(x):\n    return", "truncated"),
]


@pytest.mark.parametrize(("prompt", "text"), GOOD)
def test_a_sound_answer_loses_nothing(prompt, text):
    assert faults(prompt, text, "stop") == []
    assert quality(prompt, text, "stop") == 1.0


@pytest.mark.parametrize(("prompt", "text", "fault"), BAD)
def test_a_fault_of_form_is_named_and_costs(prompt, text, fault):
    assert faults(prompt, text, "stop") == [fault]
    assert quality(prompt, text, "stop") < 1.0


def test_an_answer_that_ended_at_its_length_limit_is_truncated():
    assert faults("Why?", "Because the light", "length") == ["truncated"]


def test_the_guard_notices_a_loop_in_a_stream_and_lets_prose_pass():
    guard, prose = RepetitionGuard(), " ".join(str(n) for n in range(3000))
    assert not any(guard.feed(word + " ") for word in prose.split())
    fed = [guard.feed("again and ") for _ in range(200)]
    assert any(fed)
    assert not RepetitionGuard().feed("-" * 5000)


def test_language_is_not_guessed_from_too_little():
    assert language("Paris") is None
    assert language("The answer to that is in the book.") == "en"
    assert language("Привет, как дела сегодня?") == "cyrillic"
    assert language("これは日本語の文章です") == "ja"


@pytest.mark.parametrize("text", ["a" * 10**6, "ab" * 10**6, "i'm sorry " * 10**5, "```" * 10**5])
def test_hostile_texts_are_judged_within_bounds(text):
    assert 0.0 <= quality(text, text) <= 1.0


@pytest.mark.parametrize("fault", FACTORS)
def test_each_fault_is_found_where_it_is_on_answers_that_nothing_was_mended_by(fault):
    there, found, right = answers.measure(answers.read()[1::2], fault)
    assert right / found >= answers.PRECISION
    assert right / there >= answers.RECALL


OFFERED = [
    {
        "type": "function",
        "function": {"name": "weather", "parameters": {"type": "object", "required": ["city"]}},
    },
    {"type": "function", "function": {"name": "now"}},
]


@pytest.mark.parametrize(
    ("calls", "worth"),
    [
        ([("weather", '{"city": "Lisbon"}')], 1.0),
        ([("now", "")], 1.0),
        ([("now", "{}"), ("weather", '{"city": "Lisbon"}')], 1.0),
        ([("weather", "{}")], 0.6),
        ([("weather", '{"city": "Lis')], 0.3),
        ([("weather", '["Lisbon"]')], 0.3),
        ([("weather", "[" * 10_000)], 0.3),
        ([("launch", '{"city": "Lisbon"}')], 0.2),
        ([("weather", '{"city": "Lisbon"}'), ("launch", "{}")], 0.2),
    ],
)
def test_calls_of_tools_are_worth_what_the_worst_of_them_is(calls, worth):
    assert quality_of_calls(calls, OFFERED) == worth


@pytest.mark.parametrize("offered", [None, [], ["now"], [{}], [{"function": "now"}], "now", 7])
def test_a_call_of_what_was_not_offered_is_worth_little(offered):
    assert quality_of_calls([("now", "{}")], offered) == 0.2
