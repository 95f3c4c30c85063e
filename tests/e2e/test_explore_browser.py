"""The explorer and the report in a real browser: every control, what it shows, and whether everybody can use it."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import Page, sync_playwright

from tests.command import gen_dist, train, wait_for
from tests.explorer_server import explorer

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
SMALL = ("--no-ray", "train.steps=4", "train.sample_every=2", "data.path=bundled:emoji", "data.size=32",
         "train.batch_size=8", "train.microbatch_size=4", "train.precision=fp32", "train.log_every=1")  # fmt: skip
SIZES = {"desktop": (1280, 900), "phone": (390, 844)}

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium: apt-get install chromium"),
]


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    cwd = tmp_path_factory.mktemp("browser")
    train(cwd, "vae", "vae-64", *SMALL, "model.latent=20", "model.width=4")
    train(cwd, "gan", "smoke", *SMALL)
    Image.effect_noise((48, 40), 90).convert("RGB").save(cwd / "mine.png")
    return cwd


@pytest.fixture(scope="module")
def shots(tmp_path_factory) -> Path:
    """Where pictures of pages are kept to be looked at."""
    kept = os.environ.get("GEN_DIST_SHOTS")
    folder = Path(kept) if kept else tmp_path_factory.mktemp("shots")
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser):
    """Complains of what the browser complains of."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, accept_downloads=True)
    opened = context.new_page()
    complaints: list[str] = []
    opened.on("console", lambda said: complaints.append(said.text) if said.type in ("error", "warning") else None)
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    yield opened
    context.close()
    assert complaints == []


@pytest.fixture(scope="module")
def server(place):
    with explorer(place, "vae", "gan") as running:
        yield running


def until(page: Page, expression: str, given: object = None) -> None:
    """Playwright's own way to wait needs `eval`, which the page's policy forbids."""
    wait_for(lambda: page.evaluate(expression, given), 20)


def settled(page: Page, act) -> np.ndarray:
    """Do something that changes the first picture; the picture then."""
    before = page.locator("#image-0").get_attribute("src")
    act()
    until(page, "before => document.querySelector('#image-0').src !== before", before)
    page.wait_for_timeout(150)
    return shown(page, 0)


def shown(page: Page, run: int) -> np.ndarray:
    """The pixels of a run's picture."""
    width, height, values = page.evaluate(
        """async id => {
            const image = document.querySelector(id);
            await image.decode();
            const canvas = document.createElement('canvas');
            canvas.width = image.naturalWidth;
            canvas.height = image.naturalHeight;
            const pen = canvas.getContext('2d');
            pen.drawImage(image, 0, 0);
            const { width, height } = canvas;
            return [width, height, Array.from(pen.getImageData(0, 0, width, height).data)];
        }""",
        f"#image-{run}",
    )
    return np.array(values).reshape(height, width, 4)[..., :3]


def open_explorer(page: Page, server) -> None:
    page.goto(server.address)
    until(
        page,
        "() => (all => all.length > 0 && all.every(image => image.src.startsWith('blob:')))"
        "([...document.querySelectorAll('#pictures img')])",
    )


def generated(place: Path, run: str, seed: int) -> np.ndarray:
    out = place / f"{run}-{seed}"
    if not out.exists():
        done = gen_dist("generate", run, "--count", 1, "--seed", seed, "--out", out, cwd=place)
        assert done.code == 0, done.err
    with Image.open(out / "000000.png") as picture:
        return np.asarray(picture).astype(int)


def test_every_control_does_what_it_says(page, server, place, tmp_path):
    open_explorer(page, server)
    for number, run in enumerate(("vae", "gan")):
        assert np.abs(shown(page, number) - generated(place, run, 0)).max() <= 1
    page.fill("#seed", "7")
    drawn = settled(page, lambda: page.click("#draw"))
    assert np.abs(drawn - generated(place, "vae", 7)).max() <= 1
    assert np.abs(shown(page, 1) - generated(place, "gan", 7)).max() <= 1
    assert not np.array_equal(drawn, settled(page, lambda: page.click("#random")))
    middle = settled(page, lambda: page.click("#reset"))
    assert set(page.locator("#sliders output").all_inner_texts()) == {"0.00"}

    assert page.inner_text("#page") == "0 to 15 of 20"
    page.click("#after")
    assert page.inner_text("#page") == "16 to 19 of 20"
    assert page.locator("#sliders input").count() == 4
    assert page.locator("#after").get_attribute("aria-disabled") == "true"
    page.locator("#sliders input").nth(3).focus()
    moved = settled(page, lambda: page.keyboard.press("End"))
    assert page.locator("#sliders output").nth(3).inner_text() == "4.00"
    page.click("#before")

    assert page.is_disabled("#share")
    page.click("#pin-a")
    page.locator("#image-a").wait_for(state="visible")
    settled(page, lambda: page.click("#draw"))
    last = shown(page, 0)
    page.click("#pin-b")
    until(page, "() => !document.querySelector('#share').disabled")
    page.locator("#share").focus()
    settled(page, lambda: page.keyboard.press("ArrowRight"))
    ended = settled(page, lambda: page.keyboard.press("End"))
    assert np.abs(ended - last).max() <= 1
    begun = settled(page, lambda: page.keyboard.press("Home"))
    assert np.abs(begun - moved).max() <= 1

    box = page.locator("#map").bounding_box()
    corner = settled(page, lambda: page.mouse.click(box["x"] + 5, box["y"] + 5))
    page.locator("#map").focus()
    settled(page, lambda: page.keyboard.press("ArrowRight"))
    assert corner.shape == middle.shape

    settled(page, lambda: page.set_input_files("#file", place / "mine.png"))
    assert page.inner_text("#told") == "encoded mine.png"
    assert page.locator("#encoding").is_visible()
    with page.expect_download() as download:
        page.click("#save")
    assert download.value.suggested_filename == "vae.png"
    saved = tmp_path / "saved.png"
    download.value.save_as(saved)
    with Image.open(saved) as picture:
        assert np.array_equal(np.asarray(picture).astype(int), shown(page, 0))

    page.locator(".picture").nth(1).click()
    assert page.locator(".picture").nth(1).get_attribute("aria-pressed") == "true"
    assert page.locator("#encoding").is_hidden()


def test_a_refused_image_is_told(browser, server, place):
    (place / "text.png").write_text("no image")
    context = browser.new_context()
    page = context.new_page()
    open_explorer(page, server)
    page.set_input_files("#file", place / "text.png")
    until(page, "() => document.querySelector('#told').textContent.includes('give an image')")
    context.close()


def test_a_dropped_image_is_encoded(page, server):
    open_explorer(page, server)
    settled(page, lambda: page.evaluate(
        """async () => {
            const image = document.querySelector('#image-1');
            const canvas = document.createElement('canvas');
            canvas.width = image.naturalWidth;
            canvas.height = image.naturalHeight;
            canvas.getContext('2d').drawImage(image, 0, 0);
            const blob = await new Promise(resolve => canvas.toBlob(resolve));
            const data = new DataTransfer();
            data.items.add(new File([blob], 'dropped.png', { type: 'image/png' }));
            document.querySelector('#drop').dispatchEvent(new DragEvent('drop', { dataTransfer: data, bubbles: true }));
        }"""
    ))  # fmt: skip
    assert page.inner_text("#told") == "encoded dropped.png"


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("dark", [False, True])
def test_the_explorer_is_for_everybody(size, dark, page, server, shots):
    width, height = SIZES[size]
    page.set_viewport_size({"width": width, "height": height})
    page.emulate_media(color_scheme="dark" if dark else "light")
    open_explorer(page, server)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.screenshot(path=shots / f"explore-{size}{'-dark' if dark else ''}.png", full_page=True)
    accessible(page)


@pytest.mark.parametrize("size", SIZES)
def test_a_report_opens_without_a_network(size, page, place, shots):
    done = gen_dist("report", "vae", "gan", "--out", "both.html", cwd=place)
    assert done.code == 0, done.err
    page.context.set_offline(True)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    width, height = SIZES[size]
    page.set_viewport_size({"width": width, "height": height})
    page.goto((place / "both.html").as_uri())
    for summary in page.locator("summary").all():
        summary.click()
    assert all(url.startswith(("file:", "data:")) for url in asked)
    sizes = page.evaluate("[...document.images].map(image => [image.complete, image.naturalWidth])")
    assert len(sizes) == 2 + 2 + 2 + 1  # samples, animations, reconstructions
    assert all(complete and width > 0 for complete, width in sizes)
    plots = page.locator("svg").all()
    assert len(plots) >= 8
    assert all(plot.bounding_box()["height"] > 100 for plot in plots)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.screenshot(path=shots / f"report-{size}.png", full_page=True)
    accessible(page)


def accessible(page: Page) -> None:
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
