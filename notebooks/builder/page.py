"""An executed notebook as one HTML page."""

from __future__ import annotations

import base64
import copy
import html

from nbconvert import HTMLExporter
from nbformat import NotebookNode

from builder.pictures import text_for


def html_page(notebook: NotebookNode, title: str) -> str:
    """The page, pictures inside. Without a network formulas stay TeX (MathJax is fetched), all else shows."""
    exporter = HTMLExporter()
    # Only widgets need these two, and a page has none that live: nothing is fetched for them.
    exporter.require_js_url = exporter.jquery_url = ""
    notebook = copy.deepcopy(notebook)
    for output in (output for cell in notebook.cells for output in cell.get("outputs", [])):
        _with_text(output)
    page, _ = exporter.from_notebook_node(notebook, resources={"metadata": {"name": title}})
    return page


def _with_text(output: NotebookNode) -> None:
    """Makes a picture an <img> with its alternative text, which nbconvert's own page leaves out."""
    data = output.get("data", {})
    if "text/html" in data or not (text := text_for(output)):
        return
    if "image/svg+xml" in data:
        source = "svg+xml;base64," + base64.b64encode("".join(data["image/svg+xml"]).encode()).decode()
    else:
        source = "png;base64," + data["image/png"].strip()
    data["text/html"] = f'<img alt="{html.escape(text)}" src="data:image/{source}">'
