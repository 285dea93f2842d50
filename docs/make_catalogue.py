"""The catalogues of `minigan learn`: ``python docs/make_catalogue.py`` compiles them, with Babel.

``python docs/make_catalogue.py missing`` lists the messages that have no translation, and the
translations that no message has any more.
"""

from __future__ import annotations

import ast
import inspect
import io
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

PACKAGE = Path(__file__).resolve().parents[1] / "minigan"
CATALOGUES = PACKAGE / "learn" / "locale"
SAYING = {"Text", "say", "_said", "_complain", "Broken", "ValueError", "ArgumentTypeError"}
"""What is called with a message as its first argument."""
CHOSEN = (
    "the right number is", "finite differences of your own {of} give",
    "samples", "sample", "channel", "entries", "yours", "the library's", "the cross entropy", "the step of D", "the step of G",
    "something in it isn't written yet", "{function} isn't written yet", "line {line}, in {function}: {error}",
    "{path}, line {lineno}, in {name}: {what}",
    "needs more memory than it may use", "raises {__name__}, which would end the check",
    "{_place} started more than {processes} processes: a layer needs none",
    "{_place} ran for more than {seconds} s in one call: look for an endless loop, or allow more "
    "with --time-limit",
    "ended its process by {name}",
    "ended its process with exit status {status} before the check was done",
    "this is what comes out without `{right}`",
    "this is what comes out if `{right}` is done twice",
    "this is what comes out if `{right}` stands elsewhere",
    "this is what comes out if `{wrong}` stands where `{right}` belongs",
    "answered what isn't an answer: it writes where only the check may",
    "it is {_sum}, but must be {_sum2}", "the factor {factor} is missing",
    "the factor {factor} is there, but mustn't be",
    "it is {said}, and the right one isn't: look for a term or a factor that is lost",
    "it is the right one plus {_sum}", "a term is missing: {_sum}",
    "a stride of {stride} in the place of {stride2}", "the kernel turned over",
    "a padding of {padding} in the place of {padding2}",
    "it is what backward would give with {said}",
)  # fmt: skip
"""Messages that are put into a variable first; each must stand in the code."""
SENTENCES = tuple(
    f"gradcheck/{name}.py" for name in ("diagnose", "case", "misplaced", "terms", "alone")
)
"""Files whose sentences are all messages."""
UNSAID = {"language.py", "parts.py", "terms.py"}
"""Files whose errors no reader of the exercises can meet."""


def compiled(path: Path) -> bytes:
    """Return what belongs into the ``.mo`` file of a ``.po`` file."""
    out = io.BytesIO()
    write_mo(out, read(path))
    return out.getvalue()


def read(path: Path) -> Any:
    """Read a ``.po`` file."""
    with path.open("rb") as stream:
        return read_po(stream)


def messages() -> dict[str, str]:
    """Return every message that the exercises can say, and where it stands."""
    found: dict[str, str] = {}
    for place, text in (*_of_the_code(), *_chosen(), *_of_the_course()):
        if re.search(r"[^\W\d_]|; ", re.sub(r"\{\w+\}", "", text)):
            found.setdefault(text, place)
    return found


def _of_the_code() -> Iterator[tuple[str, str]]:
    for path in (*sorted((PACKAGE / "learn").glob("*.py")), PACKAGE / "cli" / "learn.py"):
        for text in _said(ast.parse(path.read_text("utf-8")), path.name):
            yield path.name, text
    for name in SENTENCES:
        for text in _sentences(ast.parse((PACKAGE / name).read_text("utf-8"))):
            yield name, text


def _chosen() -> Iterator[tuple[str, str]]:
    """Yield the messages of `CHOSEN` that the code still has."""
    files = ("learn/*.py", "gradcheck/*.py")
    trees = [ast.parse(p.read_text("utf-8")) for name in files for p in PACKAGE.glob(name)]
    known = {t.strip() for tree in trees for n in ast.walk(tree) for t in _literals_of(n)}
    for text in CHOSEN:
        if text in known or any(text in one for one in known):
            yield "CHOSEN", text.removeprefix("{_place} ")


def _literals_of(node: ast.AST) -> Iterator[str]:
    return _literals(node) if isinstance(node, ast.expr) else iter(())


def _said(tree: ast.AST, file: str) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and node.args:
            name = getattr(node.func, "id", getattr(node.func, "attr", ""))
            if name in SAYING and not (name.endswith("Error") and file in UNSAID):
                yield from _literals(node.args[0])


def _literals(node: ast.expr) -> Iterator[str]:
    """Yield the text of a literal; an f-string becomes a pattern with places."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.JoinedStr):
        yield _pattern(node)
    elif isinstance(node, ast.IfExp):
        yield from (*_literals(node.body), *_literals(node.orelse))


def _pattern(node: ast.JoinedStr) -> str:
    """Name each place by the last word of its expression, the second of a name by a number."""
    named: dict[str, str] = {}
    pieces = []
    for part in node.values:
        if isinstance(part, ast.FormattedValue):
            code = ast.dump(part.value)
            word = _word(part.value)
            taken = [c for c, w in named.items() if w.rstrip("23") == word and c != code]
            named.setdefault(code, f"{word}{len(taken) + 1}" if taken else word)
            pieces.append("{" + named[code] + "}")
        else:
            pieces.extend(_literals(part))
    return "".join(pieces)


def _word(part: ast.expr) -> str:
    attributes = [n.attr for n in ast.walk(part) if isinstance(n, ast.Attribute)]
    return (attributes or [n.id for n in ast.walk(part) if isinstance(n, ast.Name)])[0]


def _sentences(tree: ast.AST) -> Iterator[str]:
    """Yield every literal that is more than a word, without the docstrings."""
    inner = {id(n) for j in ast.walk(tree) if isinstance(j, ast.JoinedStr) for n in j.values}
    docs = {id(n.value) for n in ast.walk(tree) if isinstance(n, ast.Expr)}
    for node in ast.walk(tree):
        if id(node) not in inner | docs:
            yield from (t for t in _literals_of(node) if re.search("[a-z]+ +[a-z({]|} [a-z]", t))


def _of_the_course() -> Iterator[tuple[str, str]]:
    from minigan.learn import course, crashes, regression, starter, talk, verdict

    yield "talk.py", talk.END
    yield from (("talk.py", words) for words in talk.MEANING.values())
    yield from (("course.py", title) for _, _, title in course.CHAPTERS)
    yield from (("crashes.py", words) for _, words in crashes.CRASHES)
    yield from (("verdict.py", word) for word in verdict.WORDS)
    for chosen in course.course():
        yield from ((chosen.name, text) for text in _of_an_exercise(chosen, regression, starter))


def _of_an_exercise(chosen: Any, regression: Any, starter: Any) -> Iterator[str]:
    yield from (chosen.title, *starter.docstrings(chosen), *chosen.hints, chosen.explanation)
    yield from (output.what for output in chosen.outputs.values())
    yield from (variant.words for variant in chosen.variants)
    if chosen.looks is not None:
        yield from _sentences(ast.parse(inspect.getsource(chosen.looks)))
    for case in chosen.drawn(0):
        yield case.label
        known = regression.terms_of(chosen, case).values()
        yield from (label for pair in known for part in pair for label in part)


def odd(path: Path) -> Iterator[str]:
    """Yield what is wrong with a catalogue, a line each."""
    known, wanted = {m.id: m for m in read(path) if m.id}, messages()
    for text, place in wanted.items():
        if text not in known:
            yield f"{place}: no translation of {text!r}"
    for text, message in known.items():
        if text not in wanted:
            yield f"nobody says {text!r}"
        elif not message.string or message.fuzzy:
            yield f"the translation of {text!r} is empty or unsure"
        elif _places(text) != _places(message.string):
            yield f"other places in the translation of {text!r}"


def _places(text: str) -> set[str]:
    return set(re.findall(r"\{\w+\}", text))


if __name__ == "__main__":
    sources = sorted(CATALOGUES.rglob("*.po"))
    if sys.argv[1:] == ["missing"]:
        print("\n".join(line for source in sources for line in odd(source)))
    else:
        for source in sources:
            source.with_suffix(".mo").write_bytes(compiled(source))
