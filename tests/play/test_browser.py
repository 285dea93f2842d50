"""The playground in a real browser: whole games at two sizes, by mouse, touch and keys alone."""

import shutil
import threading
import time
from contextlib import contextmanager

import pytest

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")
playwright = pytest.importorskip("playwright.sync_api", reason="Playwright isn't installed")

from minigan.play.opened import OpenedRun  # noqa: E402
from minigan.play.serving import HOST, listen, server_of  # noqa: E402
from minigan.play.setup import Setup  # noqa: E402
from minigan.play.state import PlaygroundState  # noqa: E402
from minigan.runs.folder import open_run  # noqa: E402
from minigan.runs.training import train  # noqa: E402

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium isn't installed"),
]
SIZES = {
    "desktop": {"viewport": {"width": 1280, "height": 900}},
    "phone": {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True},
}
SMALL = Setup(g_width=16, d_width=16, batch_size=32)
both_sizes = pytest.mark.parametrize("size", SIZES)


@pytest.fixture(scope="module")
def chromium():
    with playwright.sync_playwright() as running:
        browser = running.chromium.launch(
            executable_path=CHROMIUM,
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
        )
        yield browser
        browser.close()


@contextmanager
def served(state):
    """A server of its own for a game; leaves no thread behind."""
    with listen(0) as bound:
        port = bound.getsockname()[1]
        server = server_of(state or PlaygroundState(SMALL), port)
        server.site.engine.run()
        thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]})
        thread.start()
        try:
            yield f"http://{HOST}:{port}/"
        finally:
            server.end()
            thread.join(timeout=20)
            server.site.engine.stop()
            assert not thread.is_alive()


@contextmanager
def opened(chromium, size="desktop", state=None, **options):
    """A page that must end without an error on its console, and without a sideways scroll bar."""
    options = {"locale": "en-US", **SIZES[size], **options}
    with served(state) as address:
        context = chromium.new_context(**options)
        page, errors = context.new_page(), []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda m: m.type == "error" and errors.append(m.text))
        try:
            page.goto(address)
            page.wait_for_selector("body[data-step]")
            yield page
            width = SIZES[size]["viewport"]["width"]
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            assert [error for error in errors if "422" not in error] == []
        finally:
            context.close()


def until(page, condition, seconds=60):
    end = time.monotonic() + seconds
    while not page.evaluate(condition):
        assert time.monotonic() < end, f"{condition}; the page says {text(page, '#problem')!r}"
        page.wait_for_timeout(50)


def at_step(page, condition):
    until(page, f"+document.body.dataset.step {condition}")


def painted(page):
    """Wait until the screen shows what was changed."""
    page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")


def text(page, of):
    return page.inner_text(of)


# ---------------------------------------------------------------- games


@both_sizes
def test_a_game_is_played(chromium, size):
    with opened(chromium, size) as page:
        page.click("#play")
        at_step(page, "> 50")
        page.click("#play")
        until(page, "document.getElementById('play').ariaPressed === 'false'")
        at = int(page.get_attribute("body", "data-step"))
        page.click("#step")
        at_step(page, f"=== {at + 1}")
        page.click("#step-d")
        page.click("#step-g")
        until(page, f"document.getElementById('numbers').innerText.includes('{at + 2:,}')")
        page.select_option("#speed", "5")
        page.select_option("#preset", "hinge")
        until(page, "location.hash === '#objective=hinge'")
        assert "Look" in text(page, "#preset-words")
        page.click("#restart")
        at_step(page, "=== 0")


@both_sizes
def test_an_iteration_goes_forwards_and_back(chromium, size):
    with opened(chromium, size) as page:
        page.click("#slow-open")
        page.wait_for_selector("#slow:not([hidden])")
        titles = [text(page, "#slow-title")]
        for n in range(1, 10):
            page.click("#slow-next")
            titles.append(text(page, "#slow-title"))
            assert f"frame {n + 1} of 10" in titles[-1]
        assert page.is_disabled("#slow-next")
        page.click("#slow-back")
        layers = page.locator("#slow-nets button")
        for n in range(layers.count()):
            layers.nth(n).click()
            assert text(page, "#slow-layer h3 >> nth=0")
        assert "def backward" in text(page, "#slow-layer pre >> nth=0")
        for n in range(8, 0, -1):
            page.keyboard.press("ArrowLeft")
            assert text(page, "#slow-title") == titles[n - 1]
        page.keyboard.press("Escape")
        assert page.is_hidden("#slow")


def test_the_walk_down_shows_each_layers_own_lines(chromium):
    with opened(chromium) as page:
        page.click("#slow-open")
        page.wait_for_selector("#slow:not([hidden])")
        assert page.is_hidden("#slow-layer")
        page.fill("#slow-range", "3")
        assert "Discriminator D: Linear(16, 1)" in text(page, "#slow-layer")
        assert "def backward" in text(page, "#slow-layer pre >> nth=0")
        assert "∇" in text(page, "#layer-discriminator-0")
        page.click("#layer-discriminator-1")
        page.fill("#slow-range", "8")
        assert "Discriminator D: LeakyReLU" in text(page, "#slow-layer")
        assert "∇" not in text(page, "#layer-discriminator-0")  # D's weights don't learn here
        assert "∇" in text(page, "#layer-generator-0")
        page.hover("#stage")
        until(page, "document.getElementById('readout').textContent.startsWith('Close')")


@both_sizes
def test_the_curves_have_numbers_under_the_cursor(chromium, size):
    with opened(chromium, size) as page:
        for n in range(1, 4):
            page.click("#step")
            at_step(page, f"=== {n}")
        page.focus("#curve-loss")
        page.keyboard.press("ArrowLeft")
        until(page, "document.getElementById('curve-at').textContent.startsWith('Iteration 2:')")
        page.locator("#curve-d").scroll_into_view_if_needed()
        box = page.locator("#curve-d").bounding_box()
        press = page.touchscreen.tap if size == "phone" else page.mouse.move
        press(box["x"] + 45, box["y"] + 40)
        until(page, "document.getElementById('curve-at').textContent.startsWith('Iteration 1:')")


EXPLAINED = """() => {
  const controls = [...document.querySelectorAll("#form input, #form select")];
  const why = (control) => document.getElementById(control.getAttribute("aria-describedby"));
  const chosen = controls.filter((control) => control.id.match(/^(choice|way)-/));
  return chosen.filter((control) => !why(control)?.innerText.trim()).map((control) => control.id);
}"""


@pytest.mark.parametrize("locale", ["en-US", "zh-CN"])
def test_every_choice_is_explained_beside_it(chromium, locale):
    with opened(chromium, locale=locale) as page:
        page.evaluate(
            "document.querySelectorAll('#form details').forEach((d) => { d.open = true; })"
        )
        assert page.evaluate(EXPLAINED) == []
        before = text(page, "#about-objective")
        page.select_option("#choice-objective", "hinge")
        until(page, f"document.getElementById('about-objective').textContent !== {before!r}")


def test_the_landscape_before_and_after_a_step_differ(chromium):
    with opened(chromium) as page:
        page.click("#slow-open")
        page.wait_for_selector("#slow:not([hidden])")
        page.fill("#slow-range", "9")
        picture = "document.getElementById('stage').toDataURL()"
        before = page.evaluate(picture)
        page.click("#slow-more button >> nth=1")
        assert page.evaluate(picture) != before


@both_sizes
def test_points_are_drawn_and_the_link_holds_them(chromium, size):
    with opened(chromium, size) as page:
        page.click("#draw")
        page.wait_for_selector("#stage.drawing")
        page.locator("#stage").scroll_into_view_if_needed()
        box = page.locator("#stage").bounding_box()
        press = page.touchscreen.tap if size == "phone" else page.mouse.click
        for share in (0.2, 0.4, 0.6):
            press(box["x"] + share * box["width"], box["y"] + share * box["height"])
        page.click("#draw-done")
        until(page, "location.hash.includes('data=drawn')")
        assert page.evaluate("location.hash").count(";") == 2
        page.click("#step")
        at_step(page, "=== 1")
        page.reload()
        page.wait_for_selector("body[data-step='1']")


def test_a_finger_draws_a_line(chromium):
    with opened(chromium, "phone") as page:
        page.tap("#draw")
        page.wait_for_selector("#stage.drawing")
        page.locator("#stage").scroll_into_view_if_needed()
        painted(page)  # until then a finger scrolls
        box = page.locator("#stage").bounding_box()
        finger = page.context.new_cdp_session(page)
        for n in range(9):
            point = {"x": box["x"] + 60 + 20 * n, "y": box["y"] + 60 + 10 * n}
            kind = "touchMove" if n else "touchStart"
            finger.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [point]})
        finger.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
        page.click("#draw-done")  # Chromium may drop a tap that follows a quick swipe
        until(page, "location.hash.includes('data=drawn')")
        assert page.evaluate("location.hash").count(";") >= 6


def test_points_come_from_a_table_pasted_or_read(chromium):
    with opened(chromium) as page:
        page.click("#set-data details > summary")
        page.click("#csv-use")
        assert "No two columns" in text(page, "#problem")
        page.fill("#csv", "x,y\n0,0\n1.5,2\n-1,1")
        page.click("#csv-use")
        until(page, "location.hash.includes('points=0,0;1.5,2;-1,1')")
        table = {"name": "t.csv", "mimeType": "text/csv", "buffer": b"a\tb\n3\t4\n5\t6\n"}
        page.set_input_files("#csv-file", table)
        until(page, "document.getElementById('csv').value.includes('5')")
        page.click("#csv-use")
        until(page, "location.hash.includes('points=3,4;5,6')")
        assert text(page, "#csv-told") == ""
        page.fill("#csv", ",x,y\n0,1,2\n1,3,4")
        page.click("#csv-use")
        until(page, "location.hash.includes('points=1,2;3,4')")
        assert text(page, "#csv-told") == "Columns 2 and 3 of 3 were taken."


def test_a_large_table_is_cut_between_lines(chromium):
    with opened(chromium) as page:
        page.click("#set-data details > summary")
        table = {"name": "t.csv", "mimeType": "text/csv", "buffer": b"12345678,12345678\n" * 60_000}
        page.set_input_files("#csv-file", table)
        until(page, "document.getElementById('csv-told').textContent.includes('1 MiB')")
        assert page.input_value("#csv") == "12345678,12345678\n" * (2**20 // 18)


@both_sizes
def test_the_tour_judges_answers(chromium, size):
    with opened(chromium, size) as page:
        page.click("#tour-open")
        assert "stop 1 of 10" in text(page, "#tour-title")
        page.click("#tour-next")
        page.click("#tour-answers button >> nth=2")
        assert "Not so" in text(page, "#tour-verdict")
        page.click("#tour-answers button >> nth=0")
        assert text(page, "#tour-verdict") == "Right."
        page.click("#tour-next")
        page.click("#tour-next")  # the fourth stop asks for another objective
        page.select_option("#choice-objective", "non-saturating")
        page.select_option("#speed", "0")
        page.click("#play")
        until(page, "document.getElementById('tour-verdict').textContent === 'Right.'")
        for n in range(5, 11):
            page.click("#tour-next")
            assert f"stop {n} of 10" in text(page, "#tour-title")
        page.click("#tour-next")
        assert page.is_hidden("#tour")


def test_two_pages_show_one_game_and_one_may_be_closed(chromium):
    with opened(chromium) as page:
        other = page.context.new_page()
        other.goto(page.url)
        other.wait_for_selector("body[data-step]")
        other.click("#play")
        at_step(page, "> 5")
        other.close()
        at = page.get_attribute("body", "data-step")
        at_step(page, f"> {at}")
        page.click("#play")


def test_a_choice_that_is_impossible_is_said(chromium):
    with opened(chromium) as page:
        page.click("#set-tame > summary")
        page.fill("#strength-packing", "3")
        page.check("#way-packing")
        until(page, "document.getElementById('problem').textContent.includes('multiple of 3')")
        assert not page.is_checked("#way-packing")
        page.fill("#choice-smoothing", "3")
        page.keyboard.press("Tab")
        assert "a number from 0 to 0.49" in text(page, "#problem")


def test_a_film_and_both_files_are_saved(chromium):
    with opened(chromium) as page:
        page.click("#step")
        at_step(page, "=== 1")
        for button, name, content in (
            ("#export-gif", "my_game.gif", b"GIF89a"),
            ("#picture", "minigan-1.png", b"\x89PNG"),
            ("#export-recipe", "my_game.py", b"RECIPE ="),
            ("#export-python", "my_game_in_python.py", b"trainer.run("),
        ):
            with page.expect_download() as download:
                page.click(button)
            assert download.value.suggested_filename == name
            with open(download.value.path(), "rb") as file:
                assert content in file.read()


# ---------------------------------------------------------------- keys alone


def test_keys_reach_everything_and_play_a_game(chromium):
    with opened(chromium) as page:
        reached = set()
        for _ in range(60):
            page.keyboard.press("Tab")
            reached.add(page.evaluate("document.activeElement.id"))
        wanted = ["tour-open", "preset", "play", "step-d", "slow-open", "speed", "stage", "say",
                  "copy", "export-gif", "choice-data", "draw", "choice-objective"]  # fmt: skip
        assert set(wanted) <= reached
        page.evaluate("document.activeElement.blur()")
        page.keyboard.press("n")
        at_step(page, "=== 1")
        page.keyboard.press("s")
        until(page, "document.getElementById('spoken').textContent.includes('Iteration 1.')")
        page.focus("#stage")
        page.keyboard.press("ArrowRight")
        until(page, "document.getElementById('readout').textContent.startsWith('At (')")
        page.keyboard.press("m")
        page.wait_for_selector("#slow:not([hidden])")
        page.keyboard.press("ArrowRight")
        assert "frame 2 of 10" in text(page, "#slow-title")
        page.keyboard.press("Escape")
        page.focus("#stage")
        page.keyboard.press(" ")
        at_step(page, "> 5")
        page.keyboard.press("r")
        page.keyboard.press("?")
        page.wait_for_selector("#help[open]")
        page.keyboard.press("Escape")
        page.keyboard.press("t")
        assert page.evaluate("document.activeElement.id") == "tour-title"


def test_points_are_drawn_by_keys(chromium):
    with opened(chromium) as page:
        page.focus("#draw")
        page.keyboard.press("Enter")
        page.wait_for_selector("#stage.drawing")
        for key in ("ArrowRight", "Enter", "ArrowUp", "ArrowUp", "Enter"):
            page.keyboard.press(key)
        page.focus("#draw-done")
        page.keyboard.press("Enter")
        until(page, "location.hash.includes('data=drawn')")


# ---------------------------------------------------------------- runs and pictures


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run") / "digits"
    train("cgan-digits", out=folder, steps=4, batch_size=16, checkpoint_every=2, frames=0,
          progress=False)  # fmt: skip
    return open_run(folder)


@both_sizes
def test_a_run_is_looked_at(chromium, size, run):
    with opened(chromium, size, state=OpenedRun(run)) as page:
        assert "Run digits. Checkpoint 3 of 3: step 4" in text(page, "#run-words")
        assert page.is_hidden("#slow-open")
        assert text(page, "#step") == "Next checkpoint"
        assert text(page, "#restart") == "First checkpoint"
        page.keyboard.press("d")  # there is no turn to take
        assert text(page, "#problem") == ""
        page.focus("#checkpoint")
        page.keyboard.press("ArrowLeft")
        at_step(page, "=== 2")
        page.click("#play")
        at_step(page, "=== 4")
        page.select_option("#preset", "ring")
        until(page, "document.getElementById('run').hidden")
        page.click("#step")
        at_step(page, "=== 1")
        page.select_option("#preset", "/run")
        page.wait_for_selector("#run:not([hidden])")


def test_trained_weights_are_opened_in_the_page(chromium):
    with opened(chromium) as page:
        page.select_option("#preset", "/pretrained:avatars")
        page.wait_for_selector("#latent:not([hidden])")
        until(page, "document.querySelectorAll('#latent-pictures figure').length === 2")
        assert page.input_value("#preset") == "/pretrained:avatars"
        assert text(page, "#latent-sliders label >> nth=0").startswith("z1")
        assert page.is_hidden("#play")  # there is nothing to play, and nobody to diagnose it
        assert page.is_hidden("#show-arrows")
        until(page, "document.getElementById('doctor').textContent.startsWith('There is no')")
        page.click("#latent-more")
        assert text(page, "#latent-sliders label >> nth=0").startswith("z9")
        page.select_option("#preset", "ring")
        until(page, "document.getElementById('latent').hidden")
        assert page.is_visible("#play")


@both_sizes
def test_latents_are_chosen_moved_and_walked_between(chromium, size, run):
    with opened(chromium, size, state=OpenedRun(run)) as page:
        page.locator("#stage").scroll_into_view_if_needed()
        box = page.locator("#stage").bounding_box()
        press = page.touchscreen.tap if size == "phone" else page.mouse.click
        press(box["x"] + 5, box["y"] + 5)
        assert text(page, "#readout") == "Sample 1 chosen."
        until(page, "document.querySelectorAll('#latent-pictures figure').length === 2")
        page.focus("#stage")
        for key in ("ArrowRight", "ArrowRight", "Enter"):
            page.keyboard.press(key)
        assert text(page, "#readout") == "Sample 2 chosen."
        page.click("#latent-classes button >> nth=3")
        until(page, "document.querySelector('[data-class=\"3\"]').ariaPressed === 'true'")
        page.fill("#latent-sliders input >> nth=0", "1")
        page.click("#latent-walk")
        until(page, "document.querySelectorAll('#latent-pictures figure').length === 8")


# ---------------------------------------------------------------- accessibility and languages

VIEWS = {
    "play": (None, ["#step"]),
    "slow": (None, ["#slow-open", "#slow-next", "#slow-nets button >> nth=0"]),
    "choices": (None, [f"#set-{name} > summary" for name in
                       ("tame", "generator", "discriminator", "training")]),
    "tour": (None, ["#tour-open", "#tour-next", "#tour-answers button >> nth=1"]),
    "help": (None, ["#help-open"]),
    "dirac": (Setup(data="dirac"), ["#step"]),
    "pictures": (Setup(data="digits", penalties=(), batch_size=8), ["#latent-new"]),
}  # fmt: skip


def shown(page, steps):
    for step in steps:
        page.click(step)
    page.wait_for_timeout(100)


@pytest.mark.parametrize(("size", "scheme"), [("desktop", "light"), ("phone", "dark")])
def test_nothing_violates_a_rule_of_accessibility(chromium, size, scheme):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe isn't installed")
    for setup, steps in VIEWS.values():
        state = PlaygroundState(setup) if setup else None
        with opened(chromium, size, state=state, color_scheme=scheme) as page:
            shown(page, steps)
            assert violations(axe.Axe().run(page)) == []


@both_sizes
def test_nothing_of_a_run_violates_a_rule_of_accessibility(chromium, size, run):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe isn't installed")
    with opened(chromium, size, state=OpenedRun(run)) as page:
        shown(page, ["#stage"])
        assert violations(axe.Axe().run(page)) == []


def violations(results):
    return [(found["id"], found["nodes"][0]["html"]) for found in results.response["violations"]]


UNTRANSLATED = """() => {
  const left = [], walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const words = node.textContent.replace("minigan play", ""), element = node.parentElement;
    if (element.closest("[lang=en], pre, script, style") || !element.checkVisibility()) continue;
    if (/[A-Za-z]{3,}'?[a-z]* [a-z]{2,}/.test(words)) left.push(words);
  }
  return left;
}"""


@pytest.mark.parametrize("view", VIEWS)
def test_chinese_is_complete(chromium, view):
    setup, steps = VIEWS[view]
    state = PlaygroundState(setup) if setup else None
    with opened(chromium, state=state, locale="zh-CN") as page:
        assert page.get_attribute("html", "lang") == "zh-CN"
        shown(page, steps)
        page.click("#say") if view != "help" else None
        assert page.evaluate(UNTRANSLATED) == []


def test_a_language_is_chosen_and_kept(chromium):
    with opened(chromium) as page:
        page.select_option("#language", "zh")
        until(page, "document.querySelector('#play').textContent.includes('播放')", 10)
        page.fill("#choice-smoothing", "3")
        page.keyboard.press("Tab")
        assert "0.49 之间的数" in text(page, "#problem")
        page.reload()
        page.wait_for_selector("body[data-step]")
        assert page.get_attribute("html", "lang") == "zh-CN"


@pytest.mark.parametrize("motion", ["reduce", "no-preference"])
def test_reduced_motion_is_respected(chromium, motion):
    with opened(chromium, reduced_motion=motion) as page:
        page.click("#slow-open")
        page.wait_for_selector("#slow:not([hidden])")
        bar = page.locator(".layer .bar").first
        took = bar.evaluate("bar => getComputedStyle(bar).transitionDuration")
        assert (took == "0s") == (motion == "reduce")
