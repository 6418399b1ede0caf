"""What all widgets that draw in the browser share: one ES module without dependencies, a static twin, an own page.

A widget's module is a few plain JavaScript files of this folder, joined; there is no build step. All numbers that it
may need are sent once, so it answers without a kernel: in JupyterLab, in Colab, and in the page that `to_html` writes.
"""

import base64
import contextlib
import html
import json
from pathlib import Path
from typing import Any

import anywidget
import ipywidgets
import traitlets

from ...runs.config import path_of, write_atomically
from ..diagrams import cell_dot, edge_probabilities, render_svg

FOLDER = Path(__file__).parent
STYLE = (FOLDER / "widgets.css").read_text(encoding="utf-8")
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
PAGE = (FOLDER / "page.html").read_text(encoding="utf-8")


def module(*names: str) -> str:
    """The widget's ES module: the named JavaScript files of this folder, one after the other."""
    return "\n".join((FOLDER / name).read_text(encoding="utf-8") for name in names)


def drawing(cell: Any, *lines: str, history: Any = None) -> dict[str, str]:
    """Returns a cell as a static twin, under lines of text, with its last probabilities in a history."""
    title, options = "\n".join(filter(None, lines)), {"show_none": True}
    with contextlib.suppress(ValueError):       # a cell that has edges without alpha, as spaces of one's own may
        options["probabilities"] = history and edge_probabilities(cell, history)
    return {"image/svg+xml": render_svg(cell_dot(cell, title=title, **options))}


def figure(drawn: Any) -> dict[str, str]:
    """Returns a figure as a static twin."""
    return {"image/png": base64.b64encode(drawn.png()).decode()}


class BrowserWidget(anywidget.AnyWidget):
    """A widget with a page of its own and a static twin; subclasses set `_esm`, `title` and `static_twin`.

    error: a sentence that stands in the widget, in red. An exception in a callback of yours, whether the browser or
    Python set the value, is written there, and raised as well where there is somebody to catch it.
    """

    _css = STYLE
    title = "gdas_lite"
    error_stays = False         # until the subclass takes it away; else until a change succeeds
    error = traitlets.Unicode("").tag(sync=True)

    def notify_change(self, change: Any) -> None:
        """As traitlets does it; what an observer raises is shown in the widget."""
        name = change["name"]
        if name == "error" or name == "comm" or name.startswith("_"):       # not what a user changes
            super().notify_change(change)
            return
        try:
            super().notify_change(change)
        except Exception as error:
            self.error = f"{type(error).__name__}: {error}"
            raise
        if self.error and not self.error_stays:
            self.error = ""

    def static_twin(self) -> dict[str, str]:
        """What stands where no JavaScript runs: a picture by MIME type ("image/svg+xml" or "image/png" in base64)."""
        raise NotImplementedError

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None, **_: Any) -> dict[str, Any]:
        view = {"version_major": 2, "version_minor": 0, "model_id": self.model_id}
        return {WIDGET_VIEW: view, "text/plain": repr(self)} | self.static_twin()

    if hasattr(ipywidgets.DOMWidget, "_ipython_display_"):      # ipywidgets 7: it would show the view without the twin
        def _ipython_display_(self, **_: Any) -> None:
            from IPython.display import display
            display(self._repr_mimebundle_(), raw=True)

    def to_html(self, path: str | Path) -> Path:
        """Write one self-contained page that works with the network off, in the state the widget has now.

        Raises FileNotFoundError if the folder does not exist.
        """
        path = path_of(path, "path")
        if not path.parent.is_dir():
            raise FileNotFoundError(f"cannot write {path.name!r}: the folder {str(path.parent)!r} does not exist")
        state = json.dumps(self.page_state(), allow_nan=False, default=_as_base64).replace("<", "\\u003c")
        page = PAGE.format(title=html.escape(self.title), style=STYLE, twin=_picture(self.static_twin()), state=state,
                           script=str(self._esm), start=module("page.js"))
        write_atomically(path, page.encode())
        return path

    def page_state(self) -> dict[str, Any]:
        """The widget's own traits, by name."""
        return {name: getattr(self, name) for name in self.keys
                if not name.startswith("_") and name not in ipywidgets.DOMWidget.class_trait_names()}


def _as_base64(value: Any) -> dict[str, str]:
    """For JSON: {"base64": text} in the place of bytes."""
    if not isinstance(value, bytes):
        raise TypeError(f"a page's state holds plain values and bytes, got {type(value).__name__}")
    return {"base64": base64.b64encode(value).decode()}


def _picture(twin: dict[str, str]) -> str:
    if "image/svg+xml" in twin:
        return twin["image/svg+xml"]
    return f'<img alt="the widget as a picture" src="data:image/png;base64,{twin["image/png"]}">'
