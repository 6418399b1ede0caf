// Small plots of a run that is under way: `set(panels)` takes what run_curves.py sends. A line has its own dashes as well as
// its own colour, and its name and last value stand above the plot.
const LINES = [["currentColor", "none"], ["#d0497e", "6 3"], ["#3f74e0", "2 2"], ["#8a7f6a", "8 2 2 2"]];

function runCurves(total) {
  const node = h("div", { class: "gl-graphs gl-panels" });
  let plots = [];
  function set(panels) {
    if (plots.length !== panels.length || plots.some((plot, i) => !plot.fits(panels[i]))) {
      plots = panels.map(panel => linePlot(panel, total));
      node.replaceChildren(...plots.map(plot => plot.node));
    }
    plots.forEach((plot, i) => plot.set(panels[i]));
  }
  return { node, set };
}

function linePlot(panel, total) {
  const X = 40, WIDE = 270, TALL = 96, names = panel.lines.map(line => line.name).join();
  let span = 0;
  const x = t => X + (span > 1 ? WIDE * t / (span - 1) : 0);
  const text = (words, at, down, anchor) => h("text", { x: at, y: down, "text-anchor": anchor }, words);
  const key = panel.lines.map(({ name }, i) => {
    const [stroke, dashes] = LINES[i % LINES.length], reading = h("span", { class: "gl-num" });
    return { reading, node: lineKey(name, stroke, dashes, reading) };
  });
  const curves = panel.lines.map((_, i) => {
    const [stroke, dashes] = LINES[i % LINES.length];
    return h("path", { fill: "none", stroke, "stroke-width": 1.8, "stroke-dasharray": dashes });
  });
  const high = text("", X - 5, 9, "end"), low = text("", X - 5, 4 + TALL + 4, "end"), last = text("", X + WIDE, TALL + 20, "end");
  const svg = h("svg", { class: "gl-plot", viewBox: `0 0 ${X + WIDE + 10} ${TALL + 24}`, role: "img" },
    h("line", { x1: X, x2: X + WIDE, y1: 4, y2: 4, class: "gl-rule" }), h("line", { x1: X, x2: X + WIDE, y1: 4 + TALL, y2: 4 + TALL, class: "gl-rule" }),
    high, low, text("epoch 1", X, TALL + 20, "start"), last, ...curves);
  const node = h("figure", {}, h("figcaption", {}, h("b", {}, panel.title), h("span", {}, ...key.map(each => each.node))), svg);

  function set({ title, lines }) {
    const known = lines.flatMap(line => line.values.filter(value => value !== null));
    const bottom = Math.min(...known), top = Math.max(...known), range = top - bottom || 1;
    const y = value => 4 + TALL * (top === bottom ? 0.5 : (top - value) / range);
    const digits = range < 0.2 ? 3 : range < 20 ? 2 : 1;
    span = spanOf(lines[0].values.length, total);
    put(last, String(span));
    put(high, fixed(top, digits));
    put(low, top === bottom ? "" : fixed(bottom, digits));
    lines.forEach(({ values }, i) => {
      curves[i].setAttribute("d", linePath(values.flatMap((value, t) => (value === null ? [] : [[x(t), y(value)]]))));
      put(key[i].reading, fixed(values.findLast(value => value !== null), digits));
    });
    svg.setAttribute("aria-label", `${title}, ${lines.map((line, i) => `${line.name} ${key[i].reading.textContent}`).join(", ")} after ${lines[0].values.length} epochs`);
  }
  return { node, set, fits: other => other.title === panel.title && other.lines.map(line => line.name).join() === names };
}
