from __future__ import annotations

from pathlib import Path

import pypdf
import pytest

from vectorstore.folders import UnreadableError
from vectorstore.loaders import load


def write(tmp_path: Path, name: str, content: str | bytes) -> Path:
    path = tmp_path / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def pdf(text: str) -> bytes:
    """A PDF of one page with one line, written by hand: no package here draws text."""
    stream = f"BT /F1 12 Tf 72 720 Td ({text}) Tj ET".encode()
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R"
        b" /Resources << /Font << /F1 5 0 R >> >> >>",
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(stream), stream),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    out, offsets = b"%PDF-1.4\n", []
    for number, body in enumerate(objects, start=1):
        offsets.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    head = b"xref\n0 6\n0000000000 65535 f \n"
    tail = b"trailer << /Size 6 /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF" % len(out)
    return out + head + table + tail


def test_markdown_comes_as_it_is_with_the_title_of_its_front_matter(tmp_path: Path) -> None:
    path = write(tmp_path, "a.md", '---\ntitle: "Bees and wasps"\n---\n# Heading\n\nText.\n')
    assert load(path) == ("# Heading\n\nText.\n", "Bees and wasps")


@pytest.mark.parametrize(
    "data",
    [
        "Zoë paid 5 €".encode(),
        "\ufeffZoë paid 5 €".encode(),
        "Zoë paid 5 €".encode("utf-16"),
        "Zoë paid 5 €".encode("cp1252"),
    ],
)
def test_text_is_read_in_its_own_encoding(tmp_path: Path, data: bytes) -> None:
    assert load(write(tmp_path, "a.txt", data)) == ("Zoë paid 5 €", None)


def test_html_keeps_headings_code_and_tables_and_drops_the_rest(tmp_path: Path) -> None:
    page = """<!DOCTYPE html><html><head><title>Bees</title><style>p {}</style></head><body>
    <nav><a href="/">Home</a></nav><main><h1>Bees &amp; wasps</h1><!-- hidden -->
    <p>A bee has
       <b>four</b> wings.</p><ul><li>drones</li><li>queens</li></ul>
    <pre>if bee:\n    fly()\n</pre>
    <table><tr><th>kind</th><th>legs</th></tr><tr><td>bee</td><td>6</td></tr></table>
    <script>track()</script></main><footer>Imprint</footer></body></html>"""
    text, title = load(write(tmp_path, "a.html", page))
    assert title == "Bees"
    lines = [line for line in text.split("\n") if line.strip()]
    assert lines == [
        "# Bees & wasps",
        "A bee has four wings.",
        "- drones",
        "- queens",
        "```",
        "if bee:",
        "    fly()",
        "```",
        "| kind | legs |",
        "| bee | 6 |",
    ]


def test_each_row_of_a_csv_is_a_block_that_stands_alone(tmp_path: Path) -> None:
    text, _ = load(write(tmp_path, "a.csv", 'city,people\n"Paris, France",2\nRome,3\n'))
    assert text == "city: Paris, France\npeople: 2\n\ncity: Rome\npeople: 3"


def test_a_csv_may_use_semicolons(tmp_path: Path) -> None:
    text, _ = load(write(tmp_path, "a.csv", "city;people\nParis;2\nRome;3\n"))
    assert text.startswith("city: Paris\npeople: 2")


def test_text_of_a_pdf_is_read(tmp_path: Path) -> None:
    text, _ = load(write(tmp_path, "a.pdf", pdf("Bees have four wings.")))
    assert text.strip() == "Bees have four wings."


def test_a_pdf_with_a_password_is_refused(tmp_path: Path) -> None:
    plain = write(tmp_path, "plain.pdf", pdf("secret"))
    writer = pypdf.PdfWriter(clone_from=plain)
    writer.encrypt("password")
    writer.write(tmp_path / "locked.pdf")
    with pytest.raises(UnreadableError, match="is encrypted"):
        load(tmp_path / "locked.pdf")


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.pdf", b"%PDF-1.4\nbroken", "cannot be read: "),
        ("a.pdf", "<html>Not found</html>", "is not a PDF"),
        ("a.txt", b"\x00\x01\x02" * 50, "is binary, not text"),
        ("a.md", bytes(range(1, 256)) * 9, "is binary, not text"),
        ("a.md", "  \n\t\n", "holds no text"),
        ("a.html", "<html><script>x()</script></html>", "holds no text"),
        ("a.csv", "only,a,head\n", "holds no text"),
    ],
)
def test_what_cannot_be_read_is_refused_with_the_reason(
    tmp_path: Path, name: str, content: str | bytes, reason: str
) -> None:
    with pytest.raises(UnreadableError, match=reason):
        load(write(tmp_path, name, content))
