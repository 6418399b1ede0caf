"""An executed notebook as one HTML page."""

from __future__ import annotations

from nbconvert import HTMLExporter
from nbformat import NotebookNode


def html_page(notebook: NotebookNode, title: str) -> str:
    """The page, pictures inside. Without a network formulas stay TeX (MathJax is fetched), all else shows."""
    exporter = HTMLExporter()
    # Only widgets need these two, and a page has none that live: nothing is fetched for them.
    exporter.require_js_url = exporter.jquery_url = ""
    page, _ = exporter.from_notebook_node(notebook, resources={"metadata": {"name": title}})
    return page
