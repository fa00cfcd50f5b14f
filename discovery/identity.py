"""Which model a name refers to, and whether it is a LLaMA: the same weights go by many names.

`meta-llama/Llama-3.3-70B-Instruct`, `llama-3.3-70b-versatile`, `accounts/…/llama-v3p3-70b-instruct`
and `bartowski/Llama-3.3-70B-Instruct-GGUF` are one model; its key is `llama-3.3-70b`.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

MAX_NAME = 96

_QUANTISED = re.compile(
    r"^(i?q\d(_\w+)*|f16|f32|fp\d+|bf16|int\d|w\d+a\d+|\d+bit|awq|gptq|gguf|ggml|exl[23]"
    r"|nvfp4|mxfp4|bnb|mlx|hf|ud|imatrix|i1|dynamic|quantized)$"
)
_SERVICE = {
    "turbo",
    "versatile",
    "instant",
    "free",
    "latest",
    "lite",
    "maas",
    "reference",
    "fast",
    "basic",
    "original",
}
_TUNED = {"instruct", "chat", "it"}
_SIZE = re.compile(r"^(?:(\d+)x)?(\d+(?:\.\d+)?)([bm])$")
_DERIVED = ("llama", "smollm2", "vicuna")
_ARCHITECTURES = ("llama", "mllama", "llava_llama")
_REARRANGED = ("nemotron-nas", "nemotron_nas", "deci")
"""Architectures of LLaMAs whose blocks were rearranged by a search. Other families use them too, so
they count only if the name, a tag or the base says LLaMA."""
_PACKINGS = (
    "exllama",
    "gguf",
    "ggml",
    "compressed",
    "bitsandbytes",
    "safetensors",
    "transformers",
    "exl2",
    "exl3",
    "gptq",
    "awq",
    "onnx",
    "openvino",
    "mlx",
    "unknown",
    "other",
)
"""Words that name a file format where an architecture is expected; they carry no information."""
_LLAMA_TAG = re.compile(r"^(meta-)?llama(-?[2-4](\.\d)?)?$")
_BEDROCK = re.compile(r"^(?:(?:us|eu|ap|apac|ca|sa|global)\.)?(?=meta\.)|-v\d+:\d+$")
_NO_CHAT = re.compile(
    r"guard|embed|rerank|reward|classif|whisper|tts|audio|ocr|retriever|draft|eagle|medusa|lora\b"
)
_INVISIBLE = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


def clean(text: object, limit: int = MAX_NAME) -> str:
    """Untrusted text as one bounded line that is safe on a terminal, a page and in a log.

    Escape sequences, direction overrides and other invisible characters are dropped.
    """
    kept = "".join(
        " " if character.isspace() else character
        for character in str(text)[: 4 * limit]
        if character.isspace() or unicodedata.category(character) not in _INVISIBLE
    )
    words = " ".join(kept.split())
    return words if len(words) <= limit else words[: limit - 1] + "…"


def key(name: str) -> str:
    """The model that a name refers to: family, version, size; without vendor, packaging or
    service."""
    return "-".join(_words(name, without=_SERVICE | _TUNED))


def _words(name: str, without: set[str]) -> list[str]:
    short = name.lower().rstrip("/").rsplit("/", 1)[-1].removesuffix(".gguf")
    short = _BEDROCK.sub("", short)  # us.meta.llama3-3-70b-instruct-v1:0
    short = re.sub(r"(?<![a-z0-9])i?q\d(?:_[a-z0-9]+)+", " ", short)
    short = re.sub(r"(?<=\d)_(?=\d)", ".", short)  # Llama-3_3-…-v1_5
    short = re.sub(r"v(\d+)p(\d+)", r"\1.\2", short)  # llama-v3p3
    short = re.sub(
        r"\b(?:databricks-meta|meta|nousresearch|nvidia|unsloth)[-_.](?=llama)", "", short
    )
    short = re.sub(r"\bllama[-_ ]?v?(?=\d)", "llama-", short)
    short = re.sub(r"\b(llama-\d)[-_](\d)(?=[-_]|$)", r"\1.\2", short)  # llama3-1
    short = re.sub(r"(llama-4-(?:scout|maverick))-17b(?:-\d+e)?", r"\1", short)
    short = re.sub(r"llama-?4[:-](?:(16)|128)x17b", _expert_count, short)  # Ollama
    words = [word for word in re.split(r"[-_ :@]+|\.(?!\d)", short) if word]
    kept = [w for w in words if not (w in without or _QUANTISED.match(w))]
    return list(dict.fromkeys(kept)) or words


def _expert_count(match: re.Match[str]) -> str:
    return "llama-4-scout" if match[1] else "llama-4-maverick"


def parameters(name: str) -> float | None:
    """The number of parameters in a name (70b: 70e9); None if it has none."""
    found = [
        int(match[1] or 1) * float(match[2]) * (1e9 if match[3] == "b" else 1e6)
        for word in _words(name, without=set())
        if (match := _SIZE.match(word))
    ]
    return found[0] if found else None


def tuned(name: str) -> bool:
    """Whether a name marks the model as instruction-tuned."""
    return bool(_TUNED & set(_words(name, without=set())))


@dataclass(frozen=True, slots=True)
class Family:
    """Whether a model is a chat LLaMA, and the evidence; `llama` None: there is no evidence."""

    llama: bool | None
    evidence: str


def family(
    name: str,
    architecture: str | None = None,
    tags: tuple[str, ...] = (),
    bases: tuple[str, ...] = (),
) -> Family:
    """Decide by the declared architecture, then by base and tags, then by the name.

    `bases` are the models that this one was derived from, according to its card.
    """
    if _NO_CHAT.search(name.lower()):
        return Family(False, "not a chat model by its name")
    lineage = _lineage(name, tags, bases)
    said = clean(architecture or "", 24).lower()
    if not said or said.startswith(_PACKINGS):
        return lineage
    if said.startswith(_REARRANGED) and lineage.llama:
        return Family(True, f"architecture {said}, {lineage.evidence}")
    return Family(said.startswith(_ARCHITECTURES), f"architecture {clean(architecture, 24)}")


def _lineage(name: str, tags: tuple[str, ...], bases: tuple[str, ...]) -> Family:
    base = next((base for base in bases if _derived(base)), None)
    if base:
        return Family(True, f"made from {clean(base, 60)}")
    if any(_LLAMA_TAG.match(tag.lower()) for tag in tags):
        return Family(True, "tagged llama")
    derived = _derived(name)
    if derived:
        return Family(True, f"named {derived}")
    return Family(None, "nothing says that it is a LLaMA")


def _derived(name: str) -> str | None:
    return next((word for word in _DERIVED if word in name.lower()), None)
