"""Build the site and everything around it.

==========================================  ========================================================
``python docs/build.py``                    the English site in ``docs/_build/html``; runs a
                                            tutorial again only if it or the library has changed
``python docs/build.py --fresh``            runs every tutorial again, and prints its time
``python docs/build.py --only 1 2``         runs tutorials 1 and 2 alone; the others have no output
``python docs/build.py executed``           runs the tutorials and builds no site
``python docs/build.py --language zh_CN``   the Chinese site in ``docs/_build/html/zh_CN``
``python docs/build.py --language both``    both sites, linked to each other
``python docs/build.py catalogues``         brings ``docs/locale`` up to date with the English text
``python docs/build.py coverage``           how much of each page is translated; never an error
``python docs/build.py translated``         fails where the Chinese of a page that is complete has a
                                            gap, is stale, or has another word than
                                            ``docs/locale/terms.md``
``python docs/build.py notebooks``          the tutorials as .ipynb files in ``docs/_notebooks``, with
                                            the outputs of the last build, and the pages that they
                                            link to; ``minigan-course.zip`` of them all, and
                                            ``minigan-figures.zip``, each figure as SVG
``python docs/build.py links``              checks the links to other sites, and nothing else
==========================================  ========================================================

Warnings are errors, and so is an error in a cell. Nothing is fetched from a network, except by
``links``.
"""

from __future__ import annotations

import argparse
import hashlib
import logging
import os
import re
import shutil
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from typing import Any

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent
BUILD = DOCS / "_build"
TUTORIALS = ROOT / "tutorials"
ARCHIVE = "minigan-course.zip"
FIGURES = "minigan-figures.zip"
SVG = "image/svg+xml"
KERNEL = 'c.InlineBackend.figure_formats = {"png", "svg"}\n'
"""How IPython is set up in a build: it keeps each figure in both formats."""
TIMEOUT = 240
"""Seconds for a cell; ``conf.py`` has the same for notebooks that Sphinx runs."""
SHEETS = ("glossary.md", "formulas.md")
"""Pages of the course without code."""
INSTALL = """\
try:
    import minigan
except ModuleNotFoundError:  # from a wheel beside this notebook, if there is one
    %pip install --quiet --find-links . {package}"""
"""The first cell of a notebook."""


def library_key() -> str:
    """Hash what a tutorial's output depends on besides its own text: the library's source."""
    digest = hashlib.sha256(KERNEL.encode())
    for path in sorted((ROOT / "minigan").rglob("*.py")):
        name = path.relative_to(ROOT).as_posix()
        # The command line and the benchmark never run inside a tutorial.
        if not name.startswith("minigan/cli/") and name != "minigan/runs/bench.py":
            digest.update(name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


def cache_folder() -> Path:
    """Return the folder of this library's outputs; only the newest of the older ones are kept."""
    root = Path(os.environ.get("MINIGAN_DOCS_CACHE", BUILD / "cache"))
    current = root / library_key()
    if root.is_dir():
        for old in sorted(root.iterdir(), key=lambda path: path.stat().st_mtime)[:-3]:
            if old != current:
                shutil.rmtree(old, ignore_errors=True)
    current.mkdir(parents=True, exist_ok=True)
    return current


def kernel_folder() -> Path:
    """Return a folder for ``IPYTHONDIR`` in which `KERNEL` is the configuration."""
    folder = BUILD / "ipython"
    profile = folder / "profile_default"
    profile.mkdir(parents=True, exist_ok=True)
    (profile / "ipython_kernel_config.py").write_text(KERNEL)
    return folder


def numbers(names: list[str]) -> list[str]:
    """Turn "3" or "03" into "03"; refuse a number without a tutorial."""
    known = {path.name[:2] for path in TUTORIALS.glob("[0-9][0-9]-*.md")}
    wanted = [name.zfill(2) for name in names]
    for name in wanted:
        if name not in known:
            raise SystemExit(f"There is no tutorial {name}; there are {', '.join(sorted(known))}.")
    return wanted


def site(options: argparse.Namespace) -> int:
    """Build the site in one language, or in both with links between them."""
    if options.language != "both":
        return build(options)
    os.environ["MINIGAN_DOCS_BOTH"] = "1"
    for options.language in ("en", "zh_CN"):
        code = build(options)
        options.fresh = False  # the second language reuses the outputs of the first
        if code:
            return code
    return 0


def build(options: argparse.Namespace) -> int:
    """Run Sphinx."""
    target = BUILD / "html" if options.language == "en" else BUILD / "html" / options.language
    pictures()
    notebooks(options)
    if options.fresh:
        shutil.rmtree(target, ignore_errors=True)
    if os.environ.get("MINIGAN_DOCS_EXECUTION") != "off" and executed(options):
        return 1
    cache = cache_folder()
    environment = os.environ | {
        "MINIGAN_DOCS_CACHE": str(cache),
        "MINIGAN_DOCS_LANGUAGE": options.language,
    }
    if options.only is not None:
        kept = numbers(options.only)
        skipped = [p.name for p in TUTORIALS.glob("[0-9][0-9]-*.md") if p.name[:2] not in kept]
        environment["MINIGAN_DOCS_SKIP"] = ",".join(f"tutorials/{name}" for name in skipped)
    start = time.perf_counter()
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-b", "html", "-d",
               str(BUILD / f"doctrees-{options.language}"), str(DOCS), str(target)]  # fmt: skip
    if options.quiet:
        command.insert(3, "-q")
    if options.fresh:
        command.insert(3, "-E")
    code = subprocess.run(command, env=environment, check=False).returncode
    if code == 0:
        notebooks(options)  # with the outputs that were made just now
        for name in (ARCHIVE, FIGURES):
            shutil.copyfile(DOCS / "_notebooks" / name, target / name)
        print(f"Built {target} in {time.perf_counter() - start:.0f} s.")
    return code


def executed(options: argparse.Namespace) -> int:
    """Run the tutorials that have no outputs yet, as many at a time as there are cores."""
    from jupyter_cache import get_cache
    from jupyter_cache.executors import load_executor

    os.environ |= surroundings()
    folder = cache_folder()
    if options.fresh:
        shutil.rmtree(folder)
    cache = get_cache(folder)
    # The last ones take longest: begun first, they don't keep a single core busy at the end.
    paths = sorted(TUTORIALS.glob("[0-9][0-9]-*.md"), reverse=True)
    if options.only is not None:
        kept = numbers(options.only)
        paths = [path for path in paths if path.name[:2] in kept]
    uris = [str(path) for path in paths]
    for uri in uris:
        cache.add_nb_to_project(uri, read_data={"type": "plugin", "name": "myst_nb_md"})
    logger = logging.getLogger("tutorials")
    logger.setLevel(logging.WARNING if options.quiet else logging.INFO)
    executor = load_executor("local-parallel", cache, logger)
    done = executor.run_and_cache(filter_uris=uris, timeout=TIMEOUT)
    for uri in done.excepted:
        print(cache.get_project_record(uri).traceback, file=sys.stderr)
    report_times(folder)
    return int(bool(done.excepted or done.errored))


def surroundings() -> dict[str, str]:
    """Return the environment variables under which tutorials run."""
    return {
        # On nets as small as the tutorials', two threads gain nothing, and lose much on a busy
        # machine.
        "OPENBLAS_NUM_THREADS": os.environ.get("OPENBLAS_NUM_THREADS", "1"),
        "MINIGAN_THREADS": os.environ.get("MINIGAN_THREADS", "1"),
        # The numbers in the tutorials come from NumPy alone, whatever else is installed.
        "MINIGAN_FAST": os.environ.get("MINIGAN_FAST", "0"),
        "IPYTHONDIR": str(kernel_folder()),
        # Any other, such as Agg, would leave the figures out without a word.
        "MPLBACKEND": "module://matplotlib_inline.backend_inline",
    }


def report_times(cache: Path) -> None:
    """Print how long each notebook took when it last ran."""
    from jupyter_cache import get_cache

    seconds = {
        Path(record.uri).name: (record.data or {}).get("execution_seconds", 0.0)
        for record in sorted(get_cache(cache).list_cache_records(), key=lambda record: record.pk)
    }
    for name in sorted(seconds):
        print(f"{name:<40} {seconds[name]:6.1f} s")
    total = sum(seconds.values())
    print(f"{'all notebooks':<40} {total:6.1f} s")


def catalogues(options: argparse.Namespace) -> int:
    """Extract the English text and merge it into docs/locale."""
    code = extract()
    if code:
        return code
    merge = ["sphinx-intl", "update", "-p", str(BUILD / "gettext"), "-d", str(DOCS / "locale"),
             "-l", "zh_CN", "-w", "0"]  # fmt: skip
    return subprocess.run(merge, check=False).returncode


def extract() -> int:
    """Write the English text of the pages that are translated to ``docs/_build/gettext``."""
    shutil.rmtree(BUILD / "gettext", ignore_errors=True)
    command = [sys.executable, "-m", "sphinx", "-q", "-E", "-b", "gettext", str(DOCS),
               str(BUILD / "gettext")]  # fmt: skip
    environment = os.environ | {"MINIGAN_DOCS_EXECUTION": "off"}
    code = subprocess.run(command, env=environment, check=False).returncode
    # Docstrings, and pages made of them or of the parser, stay English: they are read together with
    # the code.
    for made in ("api/*.pot", "beside/*.pot", "commands/*.pot", "layout.pot"):
        for path in (BUILD / "gettext").glob(made):
            path.unlink()
    return code


COMPLETE = (
    "tutorials/*.pot", "howto/*.pot", "index.pot", "notebooks.pot", "from-nothing.pot",
    "benchmarks.pot", "performance.pot", "quality.pot", "gpu.pot",
)  # fmt: skip
"""Pages of which every sentence is translated."""
MADE = ("gallery.pot", "gallery/*.pot")
"""Pages that ``make_gallery.py`` writes anew after a training: what they lack is no error."""
MEASURED = ("performance", "quality")
"""Pages in whose tables names and numbers may stay as they are."""


def translated(options: argparse.Namespace) -> int:
    """Refuse a sentence of these pages that isn't translated, or whose translation is stale."""
    from babel.messages.pofile import read_po

    code, missing = extract(), 0
    for template in sorted(p for g in COMPLETE + MADE for p in (BUILD / "gettext").glob(g)):
        name = template.relative_to(BUILD / "gettext").with_suffix("")
        path = DOCS / "locale" / "zh_CN" / "LC_MESSAGES" / f"{name}.po"
        known = read_po(path.open("rb")) if path.is_file() else {}
        free = cells(name) if str(name) in MEASURED else set()
        for message in read_po(template.open("rb")):
            found = known.get(message.id)
            if is_formula(str(message.id)) or (found and found.string and not found.fuzzy):
                continue
            if message.id in free:
                continue
            print(f"{name}: {message.id}")
            missing += not str(name).startswith("gallery")
    print(f"{missing} sentences need a translation: python docs/build.py catalogues adds them.")
    return code or min(missing + ruled_out(), 1)


def ruled_out() -> int:
    """Count the Chinese words for which ``docs/locale/terms.md`` has another one; print them."""
    rows = (DOCS / "locale" / "terms.md").read_text(encoding="utf-8").splitlines()
    table = [row.strip("| ").split(" | ") for row in rows if row.startswith("| ")][1:]
    words = {word: row[1] for row in table if len(row) == 3 for word in row[2].split(", ")}
    found = 0
    for path in [*ROOT.glob("*.zh-CN.md"), *(ROOT / "minigan").rglob("*.po"),
                 *(DOCS / "locale").rglob("*.po")]:  # fmt: skip
        text = path.read_text(encoding="utf-8")
        for word in filter(text.__contains__, words):
            print(f"{path.relative_to(ROOT)}: {word} is {words[word]} (docs/locale/terms.md)")
            found += 1
    return found


def cells(name: Path) -> set[str]:
    """Return the cells of a page's tables."""
    lines = (DOCS / name).with_suffix(".md").read_text(encoding="utf-8").splitlines()
    return {cell.strip() for line in lines if line.startswith("|") for cell in line.split("|")}


def coverage(options: argparse.Namespace) -> int:
    """Print how much of each page is translated."""
    from babel.messages.pofile import read_po

    done = everything = 0
    for path in sorted((DOCS / "locale" / "zh_CN" / "LC_MESSAGES").rglob("*.po")):
        with path.open("rb") as file:
            messages = [m for m in read_po(file) if m.id and not is_formula(str(m.id))]
        translated = sum(bool(m.string) and not m.fuzzy for m in messages)
        done, everything = done + translated, everything + len(messages)
        name = path.relative_to(DOCS / "locale" / "zh_CN" / "LC_MESSAGES").with_suffix("")
        share = translated / max(len(messages), 1)
        print(f"{name!s:<44} {translated:4d} of {len(messages):4d}  {share:4.0%}")
    print(f"{'all pages':<44} {done:4d} of {everything:4d}  {done / max(everything, 1):4.0%}")
    return 0


def is_formula(text: str) -> bool:
    """Tell a displayed formula, or a number with its unit, from prose; Sphinx can't put a
    translated formula back.
    """
    if re.fullmatch(r"[\d.,]+ (ms|s|kB|MB|GB|MiB)", text):
        return True
    if re.search(r"\\(qquad|begin|frac|sum|partial)\b", re.sub(r"\$[^$]*\$", "", text)):
        return True
    outside = re.sub(r"\$[^$]*\$|\\text\{[^}]*\}", "", text)
    if "\\" in outside and not re.search(
        r"(?<!\\)\b[A-Za-z]{3,}", re.sub(r"\\[A-Za-z]+", " ", outside)
    ):
        return True
    words = re.sub(r"\\[A-Za-z]+", " ", text).split()
    return not any(
        len(word.strip(".,:;()*`")) > 1 and word.strip(".,:;()*`").isalpha() for word in words
    )


def links(options: argparse.Namespace) -> int:
    """Follow the links to other sites; those inside the site are checked by every build."""
    command = [
        sys.executable,
        "-m",
        "sphinx",
        "-q",
        "-b",
        "linkcheck",
        str(DOCS),
        str(BUILD / "links"),
    ]
    environment = os.environ | {"MINIGAN_DOCS_EXECUTION": "off"}
    return subprocess.run(command, env=environment, check=False).returncode


def pictures() -> None:
    """Run the examples of the command line that draw pictures, if the library has changed."""
    import make_commands

    stamp = make_commands.PICTURES / "made-with.txt"
    if not stamp.exists() or stamp.read_text() != library_key():
        make_commands.draw_pictures()
        stamp.write_text(library_key())


def notebooks(options: argparse.Namespace) -> int:
    """Write the course as Jupyter notebooks; tutorials install minigan first, if it is missing."""
    import jupytext
    import nbformat

    target = DOCS / "_notebooks"
    target.mkdir(exist_ok=True)
    install = nbformat.v4.new_code_cell(INSTALL.format(package=package()), id="install")
    for path in sorted(TUTORIALS.glob("[0-9][0-9]-*.md")):
        notebook = with_outputs(jupytext.read(path))
        for cell in notebook.cells:
            if cell.cell_type == "markdown":
                cell.source = among_notebooks(cell.source, path)
        for picture in pictures_of(notebook):
            picture.pop(SVG, None)  # a browser draws the other one faster
        notebook.cells.insert(0, install)
        jupytext.write(notebook, target / f"{path.stem}.ipynb", fmt="ipynb")
    for path in map(TUTORIALS.joinpath, SHEETS):
        text = among_notebooks(path.read_text(encoding="utf-8"), path)
        cell = nbformat.v4.new_markdown_cell(text, id="text")
        # Without a kernel's name, JupyterLab asks for one before it shows anything.
        kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
        sheet = nbformat.v4.new_notebook(cells=[cell], metadata={"kernelspec": kernel})
        nbformat.write(sheet, target / f"{path.stem}.ipynb")
    print(f"Notebooks in {target}, all of them in {archive()}, their figures in {figures()}")
    return 0


def among_notebooks(text: str, page: Path) -> str:
    """Turn the links of a page of the course to those of its notebook.

    The other pages lie beside it as notebooks, in which JupyterLab names a heading by its text. Of
    what doesn't lie there, the place in the repository is said instead.
    """

    def beside(link: re.Match[str]) -> str:
        name, slug = link["name"], link["slug"]
        target = page.with_name(f"{name}.md") if name else page
        file = f"{name}.ipynb" if name else ""
        return f"]({file}#{anchor(target, slug)})" if slug else f"]({file})"

    text = re.sub(r"\[([^\]]+)\]\(\.\./([^)#]+)(?:#[^)]*)?\)", r"\1 (`\2`)", text)
    return re.sub(r"\]\((?=[^)])(?:(?P<name>[\w-]+)\.md)?(?:#(?P<slug>[^)]+))?\)", beside, text)


def anchor(page: Path, slug: str) -> str:
    """Return JupyterLab's anchor of the heading that has this one on the site."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    found = {re.sub(r"[^\w -]", "", h).lower().replace(" ", "-"): h for h in headings}
    return found[slug].replace(" ", "-")


def pictures_of(notebook: Any) -> list[Any]:
    """Return the figures among the outputs of a notebook: a picture for each format."""
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    return [output.data for output in outputs if "image/png" in output.get("data", {})]


def with_outputs(notebook: Any) -> Any:
    """Add the outputs of the last build to a notebook; without such, return it as it is."""
    try:
        from jupyter_cache import get_cache

        return get_cache(cache_folder()).merge_match_into_notebook(notebook)[1]
    except (ImportError, KeyError):
        return notebook


def archive() -> Path:
    """Put all notebooks into one file; return its path."""
    folder = DOCS / "_notebooks"
    path = folder / ARCHIVE
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for notebook in sorted(folder.glob("*.ipynb")):
            file.write(notebook, f"minigan-course/{notebook.name}")
    return path


def figures() -> Path:
    """Put every figure of the last build into one file, as SVG; return its path."""
    import jupytext

    path = DOCS / "_notebooks" / FIGURES
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for source in sorted(TUTORIALS.glob("[0-9][0-9]-*.md")):
            drawn = pictures_of(with_outputs(jupytext.read(source)))
            for i, picture in enumerate(drawn, start=1):
                if SVG in picture:
                    file.writestr(f"minigan-figures/{source.stem}-{i}.svg", picture[SVG])
    return path


def package() -> str:
    """Return what notebooks install, a setting in ``conf.py``."""
    found = re.search(r'^PACKAGE = "(.+)"$', (DOCS / "conf.py").read_text(), re.MULTILINE)
    assert found is not None
    return found[1]


def main() -> int:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "what",
        nargs="?",
        default="html",
        choices=["html", "executed", "catalogues", "coverage", "translated", "notebooks", "links"],
    )
    parser.add_argument("--fresh", action="store_true", help="run every tutorial again")
    parser.add_argument("--only", nargs="+", metavar="N", help="run only these tutorials")
    parser.add_argument("--language", default="en", choices=["en", "zh_CN", "both"])
    parser.add_argument("--quiet", action="store_true")
    options = parser.parse_args()
    commands = {
        "html": site,
        "executed": executed,
        "catalogues": catalogues,
        "coverage": coverage,
        "translated": translated,
        "notebooks": notebooks,
        "links": links,
    }
    return commands[options.what](options)


if __name__ == "__main__":
    raise SystemExit(main())
