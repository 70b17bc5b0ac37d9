"""A hook of mkdocs: what stands beside docs/ becomes pages of the site too, and links to it lead there."""

from __future__ import annotations

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from dev.paths import REPOSITORY

_PAGES = {"README.md": "index.md", "CONTRIBUTING.md": "CONTRIBUTING.md", "CHANGELOG.md": "CHANGELOG.md"}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages and the examples."""
    for source, name in _PAGES.items():
        text = (REPOSITORY / source).read_text(encoding="utf-8")
        files.append(File.generated(config, name, content=text.replace("](docs/", "](")))
    for example in sorted((REPOSITORY / "examples").rglob("*")):
        if example.is_file():
            files.append(File.generated(config, example.relative_to(REPOSITORY).as_posix(), abs_src_path=str(example)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Have links out of docs/ stay inside the site."""
    del config, files
    if "/" in page.file.src_uri:
        return markdown
    for source, name in _PAGES.items():
        markdown = markdown.replace(f"](../{source}", f"]({name}")
    return markdown.replace("](../", "](")
