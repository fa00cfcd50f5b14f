"""Reads files as text. The only module that imports langchain-community, which takes seconds.

Every loader returns Markdown or plain text, with headings as lines that `vectorstore.chunking`
recognises. A file that cannot be read raises UnreadableError with the reason, and no other error.
"""

from __future__ import annotations

import csv
import re
import warnings
from collections.abc import Callable
from pathlib import Path

import bs4

from vectorstore.folders import UnreadableError

with warnings.catch_warnings():
    # The package announces its end of life at import. Its file loaders are self-contained and the
    # range is pinned in requirements.txt: users could do nothing about the warning.
    warnings.simplefilter("ignore", DeprecationWarning)
    from langchain_community.document_loaders import (
        BSHTMLLoader,
        CSVLoader,
        PyPDFLoader,
        TextLoader,
    )

_NOISE = ("script", "style", "noscript", "template", "nav", "svg", "iframe", "form", "button")
_BREAKS = ("p", "div", "section", "article", "ul", "ol", "dl", "blockquote", "figure", "main")


def load(path: Path) -> tuple[str, str | None]:
    """The text of a file, and the title that the file itself declares, if any."""
    loader = _LOADERS[path.suffix.lower()]
    try:
        text, title = loader(path)
    except UnreadableError:
        raise
    except Exception as error:  # parsers of foreign files can raise anything
        cause = error.__cause__ or error
        reason = " ".join(str(cause).split())[:120] or type(cause).__name__
        raise UnreadableError(f"cannot be read: {reason}") from error
    if not text.strip():
        raise UnreadableError("holds no text")
    return text, (" ".join(title.split()) or None) if title else None


def _encoding(path: Path) -> str:
    """UTF-8, or UTF-16 if it has a byte order mark; else Windows-1252, which can represent any
    Western text.

    A zero byte outside UTF-16 means that the file is not text.
    """
    data = path.read_bytes()
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    if b"\0" in data:
        raise UnreadableError("is binary, not text")
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        controls = sum(byte < 32 and byte not in b"\t\n\r\f\x1b" for byte in data[:4096])
        if controls > len(data[:4096]) / 20:
            raise UnreadableError("is binary, not text") from None
        return "latin-1" if set(data) & {0x81, 0x8D, 0x8F, 0x90, 0x9D} else "cp1252"
    return "utf-8-sig"


def _text(path: Path) -> tuple[str, str | None]:
    text = TextLoader(path, encoding=_encoding(path)).load()[0].page_content
    front = re.match(r"---\n(.*?)\n---\n", text, re.DOTALL)
    if front is None:
        return text, None
    title = re.search(r"^title:\s*[\"']?(.*?)[\"']?\s*$", front.group(1), re.MULTILINE)
    return text[front.end() :], title.group(1) if title else None


def _csv(path: Path) -> tuple[str, str | None]:
    """Each row as a block of `column: value` lines, so that a row can be understood on its own."""
    encoding = _encoding(path)
    sample = path.read_text(encoding=encoding)[:8192]
    try:
        delimiter = csv.Sniffer().sniff(sample, delimiters=",;\t|").delimiter
    except csv.Error:
        delimiter = "\t" if path.suffix.lower() == ".tsv" else ","
    rows = CSVLoader(path, encoding=encoding, csv_args={"delimiter": delimiter}).load()
    return "\n\n".join(row.page_content for row in rows), None


def _pdf(path: Path) -> tuple[str, str | None]:
    import pypdf

    if not path.read_bytes()[:1024].lstrip().startswith(b"%PDF"):
        raise UnreadableError("is not a PDF")
    if (reader := pypdf.PdfReader(path)).is_encrypted and not reader.decrypt(""):
        raise UnreadableError("is encrypted")
    pages = PyPDFLoader(str(path), password="" if reader.is_encrypted else None).load()
    text = "\n\n".join(page.page_content for page in pages)
    if not text.strip():
        raise UnreadableError("contains no text (perhaps a scan)")
    text = re.sub(r"(\w)-\n(?=[a-z])", r"\1", text)
    title = str(pages[0].metadata.get("title") or "")
    return text, title if len(title.split()) > 1 else None


class _Html(BSHTMLLoader):
    """BSHTMLLoader, with headings, code and tables kept as Markdown."""

    def text(self) -> tuple[str, str | None]:
        with open(self.file_path, encoding=self.open_encoding) as file:
            soup = bs4.BeautifulSoup(file, **self.bs_kwargs)
        title = soup.title.get_text() if soup.title else None
        for tag in soup((*_NOISE, "title")):
            tag.decompose()
        body = soup.find("main") or soup.body or soup
        if len(body.get_text()) < len(soup.get_text()) / 4:
            body = soup  # a `main` element that a script fills in
        _mark(body)
        parts = re.split(r"(\n```\n.*?\n```\n)", body.get_text(self.get_text_separator), flags=re.S)
        parts[::2] = [_tidied(part) for part in parts[::2]]
        return "".join(parts), title


def _mark(body: bs4.Tag) -> None:
    """Replace elements by their Markdown, innermost first."""
    for tag in body("pre"):
        tag.replace_with(f"\n\n```\n{tag.get_text().strip(chr(10))}\n```\n\n")
    for node in body.find_all(string=True):
        if isinstance(node, bs4.element.PreformattedString):  # comments, doctype
            node.extract()
        elif "\n```\n" not in node:
            node.replace_with(re.sub(r"\s+", " ", node))
    for tag in body("tr"):
        cells = [" ".join(cell.get_text().split()) for cell in tag(("td", "th"))]
        tag.replace_with("\n| " + " | ".join(cells) + " |")
    for tag in body(re.compile(r"^h[1-6]$")):
        heading = " ".join(tag.get_text().split())
        tag.replace_with(f"\n\n{'#' * int(tag.name[1])} {heading}\n\n" if heading else "")
    for tag in body(("li", "dt", "dd")):
        tag.insert(0, "\n- " if tag.name == "li" else "\n")
    for tag in body("br"):
        tag.replace_with("\n")
    for tag in body((*_BREAKS, "table")):
        tag.insert(0, "\n\n")
        tag.append("\n\n")


def _tidied(text: str) -> str:
    """Without stray spaces, empty bullets and repeated blank lines."""
    text = re.sub(r"[ \t]*\n[ \t]*", "\n", text)
    text = re.sub(r"^-\s*\n+(?=-)|^-\s*$", "", text, flags=re.M)
    return re.sub(r"\n{3,}", "\n\n", text)


def _html(path: Path) -> tuple[str, str | None]:
    return _Html(path, open_encoding=_encoding(path), bs_kwargs={"features": "html.parser"}).text()


_LOADERS: dict[str, Callable[[Path], tuple[str, str | None]]] = {
    ".md": _text,
    ".markdown": _text,
    ".txt": _text,
    ".rst": _text,
    ".pdf": _pdf,
    ".html": _html,
    ".htm": _html,
    ".csv": _csv,
    ".tsv": _csv,
}
