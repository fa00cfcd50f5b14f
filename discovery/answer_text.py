"""Extracts what a model's answer claims from the forms models write: markup, dashes, LaTeX, worked
answers.

It only processes untrusted text: nothing is evaluated, and code is only parsed.
"""

from __future__ import annotations

import ast
import re
import unicodedata
from collections.abc import Sequence

_FENCE = re.compile(r"^\s*```[\w+-]*[ \t]*\n(.*?)\n?\s*```\s*$", re.DOTALL)
_BLOCK = re.compile(r"```[\w+-]*[ \t]*\n(.*?)\n?[ \t]*```", re.DOTALL)
_DASHES = dict.fromkeys(map(ord, "‐‑‒–—―−﹣－"), "-")
_QUOTES = {ord(c): '"' for c in "“”„‟«»＂"} | {ord(c): "'" for c in "‘’‚‛ʼ′"}
_SUPER = {ord(c): str(i) for i, c in enumerate("⁰¹²³⁴⁵⁶⁷⁸⁹")}
_SUB = {ord(c): str(i) for i, c in enumerate("₀₁₂₃₄₅₆₇₈₉")}
_LATEX = (
    (re.compile(r"\$+|\\[()\[\]]|\\(?:left|right|displaystyle|quad|qquad)(?![A-Za-z])"), ""),
    (re.compile(r"\\[,;:! ]|~"), " "),
    (re.compile(r"(?<=\d)\{,\}(?=\d{3})"), ","),
    (re.compile(r"(?<=\d)_(?:\{\d{1,2}\}|\d(?!\d))"), ""),  # the base of a numeral
    (re.compile(r"\\equiv(?![A-Za-z])"), "≡"),
    (re.compile(r"\\pmod\s*\{([^{}]*)\}"), r" (mod \1)"),
    (
        re.compile(r"\\(?:boxed|text|mathrm|mathcal|mathbf|operatorname|textbf)\s*\{([^{}]*)\}"),
        r"\1",
    ),
    (re.compile(r"\\d?frac\s*\{([^{}]*)\}\s*\{([^{}]*)\}"), r"(\1)/(\2)"),
    (re.compile(r"\\times(?![A-Za-z])"), "×"),
    (re.compile(r"\\cdot(?![A-Za-z])"), "·"),
    (re.compile(r"\\(?:approx|sim)(?![A-Za-z])"), "≈"),
    (re.compile(r"\\(log|lg|ln|Theta|sqrt|pi|le|ge|ne)(?![A-Za-z])"), r"\1"),
    (re.compile(r"\\([%#&_{}])"), r"\1"),
)
_NUMBER = r"(?:(?<![\w.])-)?\d+(?:\.\d+)?(?:e[+-]?\d+)?"
_WORDED = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"),
    *("eleven", "twelve"),
)
_LEAD = re.compile(
    r"^(?:(?:so|thus|therefore|hence|sure|certainly|ok|okay)[,:!]?\s+)?"
    r"(?:(?:the\s+)?(?:final\s+|correct\s+)?(?:answer|result|output|value)(?:\s+is)?\s*[:=]?\s*"
    r"|it(?:'s| is)\s+|that(?:'s| is)\s+|there are\s+|about\s+|approximately\s+|roughly\s+"
    r"|[≈~=]\s*|[a-z]\s*=\s*)*"
)
_ON = re.compile(
    r"^\s*!?[^\W\d]{0,12}\s*(?:=|≡|(?://|[+*/×·÷^%]|mod\b)\s*[\d({]|-\s*[\d(]|x\s*\d)|^x\w+\s*=|^!\s*[/*(]"
    r"|^\(\d|^\s*%\s+of\s+\d"
)
"""After a number: the calculation continues, so the number is not yet the answer."""
_CORRECTED = re.compile(
    r"\b(?:wait|actually|correction|sorry|no(?=,)|rather|instead|but)\b", re.IGNORECASE
)
_CLAIMED = re.compile(
    rf"(?:answer|result|total)\w*(?:\s+(?:is|are|of|=|therefore|then))*\s*[:=≈]*\s*({_NUMBER})"
)
_EQUALS = re.compile(
    r"(?:\b(?:is|are|equals?|gives?|get|makes?|takes?|needs?|leaves?|evaluates? to)|=|≡|≈|→|->)"
    rf"\s*({_NUMBER})(?!\s*[/*+]|[\w^])"
)
_HAS = re.compile(rf"\b(?:has|have|had|be|costs?|pays?|of|in|at)\s*[$€£]?({_NUMBER})(?![\w^])")
_WORKED = re.compile(r"^(?!.*\bso\b)\s*[^\W\d]{0,12}\s*=\s*[^=]*\d\s*[+*/×·^-]\s*[^=]*$")
"""After a number: an explanation of how it was obtained, and nothing else."""
_ASIDE = re.compile(r"(?<![+\-*/×·÷=^])(?<![+\-*/×·÷=^] )\([^()]*\)")
_CONCLUDED = re.compile(rf"(?:\b(?:so|therefore|thus|hence)\b[^\d=;]*?|:\s*)({_NUMBER})[^\d]*$")
_BESIDE = re.compile(r"(?:\band|,) (?:her|his|its|their) \w+ (?:is|are|has|was)\b.*")
"""A statement about something else after the claim: "… and her brother is 8"."""
_SO = re.compile(
    rf"\b(?:so|therefore|thus|hence),?\s+(?:(?:it|that|the answer) is )?({_NUMBER})\W*$"
)
_UNDECIDED = re.compile(rf"{_NUMBER}\s+or\s+{_NUMBER}|\bbetween\s+{_NUMBER}\s+and\s")
_UNFINISHED = re.compile(rf"{_NUMBER}(?:\s*[\^*×·+]\s*{_NUMBER})+")
_FRACTION = re.compile(r"(\d+(?:\.\d+)?)\s*/\s*(\d+(?:\.\d+)?)")
_DATED = re.compile(
    r"(?<!\d)\d{1,2}(?:st|nd|rd|th)?\s+(?=(?:of\s+)?(?:january|february|march|april|may|"
    r"june|july|august|september|october|november|december),?\s+\d{4}\b)"
)
_IF = re.compile(r"^\W*(?:if|when|in|since|for|because|given)\b")
_SPELT = re.compile(r"(?<![\w'])(?:[a-z](?:,\s*|\s*-\s*|\s+)){3,}[a-z](?![\w'])")

_NEGATED = re.compile(r"\bnot\b[^,;.()\n]*?(?:,|;|\.|\n|\bbut\b|$)")
_FILL = frozenset(
    {
        *("the", "a", "an", "it", "is", "its", "it's", "that", "that's", "this", "be", "was"),
        *(
            "answer",
            "correct",
            "right",
            "final",
            "of",
            "by",
            "in",
            "on",
            "are",
            "written",
            "called",
        ),
        *("named", "word", "one", "i", "think", "so", "sure", "yes", "he", "she", "they", "who"),
        *(
            "which",
            "will",
            "would",
            "city",
            "country",
            "name",
            "known",
            "as",
            "located",
            "lies",
            "odd",
            "out",
            "decodes",
            "to",
        ),
    }
)
_CLAUSE = re.compile(
    r"\n|(?<=[^\d.])\.(?:\s|$)|\.$|[;!?]|\s-+\s|:\s*$|,?\s+(?:because|since|as|which|for)\s|,\s"
)


def unfenced(text: str) -> str:
    """The text without a code fence around the whole of it."""
    fenced = _FENCE.match(text)
    return fenced[1] if fenced else text


def code_of(text: str) -> str:
    """The answer's code block if it has exactly one, otherwise the whole answer."""
    blocks = _BLOCK.findall(text)
    return blocks[0] if len(blocks) == 1 else unfenced(text).strip().strip("`")


def plain(text: str) -> str:
    """The text with Unicode dashes, spaces, quotes and superscripts in ASCII; line breaks are
    kept."""
    text = re.sub(r"[⁰¹²³⁴⁵⁶⁷⁸⁹]+", lambda m: "^" + m[0].translate(_SUPER), text)
    text = re.sub(r"(?<=\d)[₀-₉]+", "", text)  # the base of a numeral
    text = text.translate(_SUB).translate(_DASHES).translate(_QUOTES)
    kept = (
        " " if unicodedata.category(c) == "Zs" else c
        for c in unicodedata.normalize("NFC", text)
        if unicodedata.category(c) != "Cf"
    )
    return "".join(kept)


def prose(text: str) -> str:
    """Plain text without LaTeX and Markdown markup."""
    said = re.sub(r"(?<![\w)])\*\*(?=\S)([^*\n]+?)\*\*", r"\1", plain(unfenced(text)))
    said = re.sub(r"(?<=[\w)])\*\*(?=[\w(])", "^", said)
    for _ in range(2):  # \boxed{\text{…}}
        for pattern, put in _LATEX:
            said = pattern.sub(put, said)
    return re.sub(r"\*\*|__|`|^#+\s*", "", said, flags=re.MULTILINE)


def claim_words(text: str, prompt: str, wanted: Sequence[str]) -> tuple[str, ...]:
    """The words of an answer's claim, without filler words and words of the question."""
    said = _ASIDE.sub(" ", prose(text)).strip().lower()
    said = _NEGATED.sub(" ", said).strip()
    said = _SPELT.sub(lambda m: re.sub(r"[^a-z]", "", m[0]), said)
    said = re.sub(r"\b([a-z])\.\s(?=[a-z]{2})", r"\1 ", said)  # an initial
    if final := re.search(r"answer(?:\s+is)?\s*:?\s*(.+)", said):
        said = final[1]
    head, *rest = [part for part in _CLAUSE.split(said) if part.strip()] or [""]
    while rest and _IF.match(head):
        head, *rest = rest
    if any(re.search(r"\b(?:no|wait|actually|correction|sorry)\b", part) for part in rest):
        return ("corrected",)
    keep = {word for one in wanted for word in _tokens(one)}
    drop = (_FILL | set(_tokens(prompt))) - keep - {"or"}
    return tuple(word for word in _tokens(head) if word not in drop)


def _tokens(text: str) -> list[str]:
    return re.findall(r"[^\W_]+(?:['-][^\W_]+)*", plain(text).lower())


def claimed_number(text: str) -> float | None:
    """The number that an answer claims: the one it begins with, unless that belongs to a worked
    answer; else the one that it names as its answer, else the last one."""
    said = _figures(prose(text).lower().strip())
    bare = _BESIDE.sub(" ", _DATED.sub(" ", _ASIDE.sub(" ", said)))
    bare = re.sub(rf"\bnot\s+{_NUMBER}", " ", bare).strip(" \t\n\"'.,;:!")
    lead = _LEAD.match(bare)
    rest = bare[lead.end() :] if lead else bare
    if _UNDECIDED.search(bare) or _UNFINISHED.fullmatch(bare):
        return None
    if concluded := _SO.search(bare):
        return float(concluded[1])
    if fraction := _FRACTION.fullmatch(rest.strip()):
        return float(fraction[1]) / (float(fraction[2]) or float("nan"))
    first = re.match(rf"[\"'$€£]*\s*({_NUMBER})", rest)
    corrected = _CORRECTED.search(rest)
    if first and not corrected:
        after = rest[first.end() :]
        if not _ON.match(after) or _WORKED.match(after):
            return float(first[1])
    for pattern in () if corrected else (_CLAIMED, _CONCLUDED, _EQUALS):
        if found := pattern.findall(bare):
            return float(found[-1])
    if not corrected and (had := _HAS.search(bare)):
        return float(had[1])
    numbers = re.findall(_NUMBER, bare) or re.findall(_NUMBER, re.sub(r"\bnot\b.*", "", said))
    return float(numbers[-1]) if numbers else None


def _figures(text: str) -> str:
    """Numbers in one form: no thousands separators, a decimal point, number words as digits."""
    text = re.sub(
        r"(?<![\d.,])\d{1,3}(?:[ ,']\d{3})+(?!\d)", lambda m: re.sub(r"[ ,']", "", m[0]), text
    )
    text = re.sub(r"(?<=\d),(?=\d{1,2}(?!\d))", ".", text)
    return re.sub(
        rf"\b({'|'.join(_WORDED)})\b", lambda m: str(_WORDED.index(m[1])), text, flags=re.IGNORECASE
    )


def expression(text: str) -> set[str]:
    """The canonical spellings of a formula: of the whole, of what follows an equals sign, of each
    line."""
    said = re.sub(r"\((?:[^()]*\bnot\b|since\b|because\b|as\b).*\)\W*$", "", prose(text)).strip()
    said = re.sub(r"=\s*\d+\W*$", "", said)
    lines = [line for line in said.splitlines() if line.strip()]
    if not lines or len(lines) > 6:
        return set()
    parts = {lines[0], lines[-1]} if len(lines) > 1 else {lines[0]}
    parts |= {part.rsplit("=", 1)[-1] for part in parts}
    parts |= {re.split(r"\b(?:is|answer:?)\s", part)[-1] for part in set(parts)}
    return {_canonical(part) for part in parts} - {""}


def _canonical(part: str) -> str:
    one = part.strip().rstrip(".;").lower().replace("**", "^").replace("{", "").replace("}", "")
    one = re.sub(r"(?<=[\d)])\s*[x×·*]\s*(?=[\d(])", "*", one)
    one = re.sub(r"[×·∗]", "*", one)
    one = re.sub(r"\s+", "", one)
    one = re.sub(r"(?<![a-z])n\*n(?![a-z^])", "n^2", one)
    one = re.sub(r"(?<=\d)\*(?=[a-z])|(?<=n)\*(?=l[og])", "", one)
    one = re.sub(r"^(?:theta|θ)\(", "o(", one)
    one = re.sub(r"(?<![a-mo-z])(?:lg|log_?2|ld)(?=n|\()", "log", one)
    return re.sub(r"log\(n\)", "logn", one)


def items_of(text: str) -> list[str]:
    """The items of an answer that is a list, in lower case, without bullets."""
    said = re.sub(r"\([^()]*\)", " ", prose(text)).strip().lower()
    said = re.sub(r"^[^\n:]{2,60}:\s*(?=\S)", "", said)
    said = re.sub(r"^[^\n,;]{0,60}\b(?:are|is|returns?|prints?|gives)\s+(?=\S)", "", said)
    parts = re.split(
        r"\s*(?:,|;|\n|->|→|⇒)\s*(?:and\s+|then\s+|or\s+)?|\s+(?:and|or|then)\s+", said
    )
    bare = (re.sub(r"^\s*(?:[-*•]|\d+[.)])\s+", "", part) for part in parts)
    bare = (re.sub(r"^(?:first|then|next|finally|lastly)\s+(?=\S)", "", part) for part in bare)
    bare = (re.sub(r"^[a-z]\s*(?::|-)\s+", "", part) for part in bare)
    named = (re.sub(r"^x_?\d?\s*=\s*", "", part.strip(" \t\"'.[]{}")) for part in bare)
    return [part.strip() for part in named if part.strip()]


def sentences(text: str) -> list[str]:
    """The sentences of a text; a quoted question does not end the sentence around it."""
    whole = re.sub(r"\"[^\"\n]*\"", lambda m: re.sub(r"[.!?]+(?=.)", ",", m[0]), text.strip())
    whole = re.sub(r"\b(?:mr|mrs|ms|dr|st|e\.g|i\.e|etc)\.", lambda m: m[0][:-1], whole, flags=re.I)
    inner = re.sub(r"[!?.]+\"(?=\s+[a-z])", '"', whole)
    return [s for s in re.split(r"(?<=[.!?])[\"')\]]*\s+", inner) if re.search(r"\w", s)]


def normal_code(code: str) -> str | None:
    """Python code as its parser prints it, with local names numbered; None if it does not parse."""
    try:
        tree = ast.parse(code.strip())
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    tree = _Renamed().visit(tree)
    body = tree.body
    if len(body) == 1 and isinstance(body[0], ast.Assign | ast.AnnAssign) and body[0].value:
        return ast.unparse(body[0].value)
    if len(body) == 1 and isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Call):
        call = body[0].value
        if isinstance(call.func, ast.Name) and call.func.id == "print" and len(call.args) == 1:
            return ast.unparse(call.args[0])
    return ast.unparse(tree)


class _Renamed(ast.NodeTransformer):
    """Renames arguments and local variables to v1, v2, …; drops docstrings and annotations."""

    def __init__(self) -> None:
        self.names: dict[str, str] = {}

    def _name(self, name: str) -> str:
        return self.names.setdefault(name, f"v{len(self.names) + 1}")

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.FunctionDef:
        node.returns, node.decorator_list = None, []
        first = node.body[0]
        if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
            node.body = node.body[1:] or [ast.Pass()]
        self.generic_visit(node)
        return node

    def visit_arg(self, node: ast.arg) -> ast.arg:
        return ast.arg(self._name(node.arg))

    def visit_ListComp(self, node: ast.ListComp) -> ast.ListComp:
        for generator in node.generators:
            if isinstance(generator.target, ast.Name):
                self._name(generator.target.id)
        self.generic_visit(node)
        return node

    def visit_Name(self, node: ast.Name) -> ast.Name:
        return ast.Name(self.names.get(node.id, node.id), node.ctx)
