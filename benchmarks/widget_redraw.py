"""From a slider's move to the picture, measured in the browser: python benchmarks/widget_redraw.py

Opens each widget's page from disk in headless Chromium and moves its main slider (or list) step by step; of a dashboard it
measures what the browser does when an epoch arrives: graph, matrix and all curves anew. Two times a step, in
milliseconds: `redraw`, from the input event until the new picture is computed, styled and laid out; `on screen`, until the
frame that shows it has been handed over, which includes waiting for the screen's next frame (one every 16.7 ms).
The alpha slider of the temperature explorer also counts 1,000 draws anew and draws curves.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import sys
import tempfile
from pathlib import Path

import numpy as np

import gdas_lite as gl
from gdas_lite.search.history import EpochRecord, History

# In a page, what Python would send after an epoch: the probabilities turned by some places, so that every number is another.
ARRIVES = """
globalThis.arrives = i => {
  model.set("parts", values.parts.map(part => {
    const old = new Float32Array(part.probabilities.buffer), flat = new Float32Array(old.length), turn = 7 * (i + 1);
    flat.set(old.subarray(turn));
    flat.set(old.subarray(0, turn), old.length - turn);
    return { ...part, probabilities: new DataView(flat.buffer) };
  }));
  model.set("panels", values.panels.map(panel => ({ ...panel })));
  model.set("cell", { ...values.cell, epoch: i });
};"""
MEASURE = """async ([name, steps]) => {
  const isTrait = name === "cell";        // not a control: Python sends it, last of all that an epoch changes
  const input = document.querySelector(`[name="${name}"]`) || {}, times = [];
  const low = +input.min, high = +input.max, isSelect = input.tagName === "SELECT";
  for (let i = 0; i < steps; i++) {
    await new Promise(requestAnimationFrame);
    await new Promise(done => setTimeout(done, 3));         // not always at the same moment of a frame
    const start = performance.now();
    if (isTrait) arrives(i);
    else if (isSelect) input.selectedIndex = (i * 7) % input.options.length;
    else input.value = low + (high - low) * ((i * 37) % 100) / 100;
    if (!isTrait) input.dispatchEvent(new Event(isSelect ? "change" : "input"));
    document.querySelector(".gl-widget").getBoundingClientRect();
    const redraw = performance.now() - start;
    await new Promise(done => requestAnimationFrame(() => { const gate = new MessageChannel();
      gate.port1.onmessage = done; gate.port2.postMessage(0); }));
    times.push([redraw, performance.now() - start]);
  }
  return times;
}"""
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking"]


def made_up_history(space: object, epochs: int) -> History:
    """A search's shape without a search: alphas wander at random."""
    rng, history = np.random.default_rng(0), History(space.labels)
    alphas = {kind: np.zeros(labels.shape, np.float32) for kind, labels in space.labels.items()}
    for epoch in range(epochs):
        alphas = {kind: (alpha + rng.normal(0, 0.1, alpha.shape)).astype(np.float32) for kind, alpha in alphas.items()}
        history.append(EpochRecord(epoch, 1.0, 0.025, 2.0, 30.0, 2.0, 30.0, 1.0, alphas, str(space.derive(alphas))))
    return history


def cases() -> dict[str, tuple[object, str]]:
    """What is measured: a widget, and the name of its slider or list; "cell": what arrives after an epoch."""
    explorer = gl.TemperatureExplorer()
    return {"temperature explorer, tau": (explorer, "tau"), "temperature explorer, alpha": (explorer, "alpha-1"),
            "alpha player, NAS-Bench-201, 250 epochs": (gl.AlphaPlayer(made_up_history(gl.NASBench201(), 250)), "epoch"),
            "alpha player, NASNet, 250 epochs": (gl.AlphaPlayer(made_up_history(gl.NASNet(), 250)), "epoch"),
            "alpha player, recurrent, 150 epochs": (gl.AlphaPlayer(made_up_history(gl.Recurrent(), 150)), "epoch"),
            "cell builder": (gl.CellBuilder(channels=4, cells_per_stage=1), "edge-2"),
            "zoo browser": (gl.ZooBrowser(), "cells"),
            "dashboard, NAS-Bench-201, an epoch of 250": (gl.Dashboard(Recorded(gl.NASBench201(), 250)), "cell"),
            "dashboard, NASNet, an epoch of 250": (gl.Dashboard(Recorded(gl.NASNet(), 250)), "cell")}


class Recorded:
    """A finished search that a dashboard can show."""

    noun, is_finished, on_step = "search", True, None

    def __init__(self, space: object, epochs: int) -> None:
        self.history, self.total_epochs, self.epochs_done = made_up_history(space, epochs), epochs, epochs

    def run_epoch(self) -> None:
        """Never called: nothing is left to do."""


def written(widget: object, path: Path) -> str:
    """The address of the widget's page, with ARRIVES where it can reach the page's model."""
    text = widget.to_html(path).read_text(encoding="utf-8")
    path.write_text(text.replace("render({ model, el:", ARRIVES + "\nrender({ model, el:"), encoding="utf-8")
    return path.as_uri()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=100, help="moves of each slider (default 100)")
    steps = parser.parse_args().steps
    path = next((found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None)
    if path is None:
        sys.exit("no chromium, chromium-browser or google-chrome on this machine")
    from playwright.sync_api import sync_playwright
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        print(f"Chromium {browser.version}, {steps} moves each, milliseconds\n")
        print(f"{'':42}{'redraw: median':>15}{'p95':>7}{'on screen: median':>20}{'p95':>7}")
        for name, (widget, slider) in cases().items():
            page = browser.new_page(viewport={"width": 1000, "height": 900})
            page.goto(written(widget, Path(folder) / "page.html"))
            page.evaluate(MEASURE, [slider, 20])        # compiled by now
            redraw, shown = zip(*page.evaluate(MEASURE, [slider, steps]))
            numbers = [f(values) for values in (redraw, shown)
                       for f in (statistics.median, lambda many: statistics.quantiles(many, n=20)[-1])]
            print(f"{name:42}{numbers[0]:15.1f}{numbers[1]:7.1f}{numbers[2]:20.1f}{numbers[3]:7.1f}", flush=True)
            page.close()
        browser.close()


if __name__ == "__main__":
    main()
