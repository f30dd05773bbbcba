"""The documentation site: links lead somewhere, nothing comes from the network, and search works from the disk."""

import re
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.portal.browser import CHROMIUM, Browser, browser

ROOT = Path(__file__).parents[3]
DOCUMENTS = sorted(
    (*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("docs/adr/*.md"), *ROOT.glob("client/*.md"))
)
LINK = re.compile(r"\]\((?!https?:|#)([^)#\s]+)")
LOADED = re.compile(
    r"""<(?:script|img|link)\b[^>]*?\b(?:src|href)=["']([^"']+)|url\(["']?([^"')]+)|@import\s+["']([^"']+)"""
)
FAR = re.compile(r"^(?:https?:)?//")


def build(source: Path, site: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "sphinx", "--quiet", "--fail-on-warning", "--keep-going", "--no-color", "--jobs=2"]
    folders = ["--conf-dir", ROOT / "docs" / "sphinx", "--doctree-dir", site.parent / f"{site.name}-doctrees"]
    return subprocess.run([*command, *folders, source, site], capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("documentation") / "site"
    result = build(ROOT, folder)
    assert (result.returncode, result.stderr) == (0, "")
    return folder


def test_every_document_and_package_has_a_page(site: Path) -> None:
    pages = {str(path.relative_to(site).with_suffix(".md")) for path in site.rglob("*.html")}
    assert {str(path.relative_to(ROOT)) for path in DOCUMENTS} <= pages
    assert "url=README.html" in (site / "index.html").read_text()
    assert {"millrace_client", "models", "streams.core.ranking", "schemas", "loaders.tables", "evaluation"} <= {
        Path(page).stem for page in pages if page.startswith("docs/reference/")
    }


def test_the_reference_shows_what_docstrings_say(site: Path) -> None:
    page = (site / "docs" / "reference" / "millrace_client.html").read_text()
    assert "Publish events in order, and return their ids once the API has acknowledged all of them." in page
    assert "Maximum number of items (1 to 1,000); by default all." in page


def test_diagrams_are_drawings(site: Path) -> None:
    page = (site / "docs" / "architecture.html").read_text()
    assert "<svg" in page
    assert "flowchart TB" not in page


def test_a_broken_link_or_anchor_fails_the_build(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("# Title\n\n[file](docs/missing.md) [section](#missing) [good](#title)\n")
    result = build(tmp_path, tmp_path / "site")
    assert result.returncode != 0
    assert "'docs/missing.md'" in result.stderr
    assert "'missing'" in result.stderr
    assert "'title'" not in result.stderr


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_relative_links_name_files_as_the_git_host_does(document: Path) -> None:
    assert [link for link in LINK.findall(document.read_text()) if not (document.parent / link).exists()] == []


def test_nothing_is_loaded_from_the_network(site: Path) -> None:
    files = [path for path in site.rglob("*") if path.suffix in {".html", ".css"}]
    loads = {address for path in files for groups in LOADED.findall(path.read_text()) for address in groups}
    assert [address for address in loads if FAR.match(address)] == []


@pytest.fixture(scope="module")
async def page() -> AsyncIterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine")
    async with browser() as chromium:
        yield chromium


async def test_search_works_from_the_disk(site: Path, page: Browser) -> None:
    await page.open(f"file://{site}/search.html?q=watermark")
    await page.until("document.querySelector('#search-results a[href*=\"docs/glossary.html\"]')")


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize(
    "name", ["README", "docs/settings", "docs/requirements", "docs/architecture", "docs/reference/millrace_client"]
)
async def test_a_page_fits_its_screen(site: Path, page: Browser, name: str, width: int) -> None:
    await page.open(f"file://{site}/{name}.html", width=width)
    await page.until("document.readyState === 'complete' && document.querySelector('h1')")
    assert await page.js("document.documentElement.scrollWidth <= window.innerWidth")
    assert page.complaints == []
