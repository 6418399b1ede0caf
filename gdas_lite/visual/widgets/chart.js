// Small plots of lines over epochs or steps. The vertical axis begins at 0 and ends at a round number, so its range
// stays while a run goes on. A line has its own dashes as well as its own colour.
const ROUND = [1, 2, 2.5, 5, 10];

function roundTop(value) {
  const unit = 10 ** Math.floor(Math.log10(value || 1));
  return unit * ROUND.find(factor => factor * unit >= value * 0.999999);
}

// How many epochs a plot shows: a search of thousands would be a dot at first, so a long axis doubles as it fills.
function spanOf(count, total) {
  let span = 40;
  while (span < count) span *= 2;
  return Math.min(span, total);
}

// A line through points; one point alone gets a short dash.
function linePath(points) {
  const texts = points.map(([x, y]) => `${x.toFixed(1)} ${y.toFixed(1)}`);
  return texts.length === 1 ? `M${texts[0]}h4` : texts.length ? `M${texts.join("L")}` : "";
}

// `set({span, top, series, now, level, band})` draws the first `span` epochs: series[i] belongs to looks[i], a number
// or null for each epoch; now: the epoch of the moment; level: [y, its name]; band: [lower, upper].
// unit: what the horizontal axis counts; number: of a position in a series, as text.
function chart(looks, label, { unit = "epoch", number = t => grouped(t + 1), hasBand = false } = {}) {
  const X = 34, Y = 6, WIDE = 260, TALL = 104;
  let span = 1, range = 0;
  const x = t => X + (span > 1 ? WIDE * t / (span - 1) : 0);
  const y = value => Y + TALL * (1 - Math.min(value, range) / range);
  const text = (words, at, down, anchor) => h("text", { x: at, y: down, "text-anchor": anchor }, words);
  const axis = h("g", {}), below = h("g", {}), band = hasBand && h("path", { class: "gl-band" });
  const now = h("line", { y1: Y, y2: Y + TALL, class: "gl-now" });
  const level = h("line", { x1: X, x2: X + WIDE, class: "gl-level" }), levelName = text("", X + WIDE + 3, 0, "start");
  const curves = looks.map(([stroke, dashes]) =>
    h("path", { fill: "none", stroke, "stroke-width": 1.8, "stroke-dasharray": dashes }));
  const svg = h("svg", { class: "gl-plot", viewBox: `0 0 ${X + WIDE + 26} ${Y + TALL + 18}`, role: "img",
    "aria-label": label }, axis, below, level, levelName, ...(band ? [band] : []), now, ...curves);

  function setTop(top) {
    if (top === range) return;
    range = top;
    const parts = Math.round(top / 10 ** Math.floor(Math.log10(top))) === 2 ? 4 : 5;
    axis.replaceChildren(...Array.from({ length: parts + 1 }, (_, i) => [i * top / parts, y(i * top / parts)])
      .flatMap(([value, at]) => [h("line", { x1: X, x2: X + WIDE, y1: at, y2: at, class: "gl-rule" }),
        text(String(+value.toPrecision(3)), X - 5, at + 4, "end")]));
  }
  function setSpan(next) {
    if (next === span && below.firstChild) return;
    span = next;
    const marks = span < 3 ? [0, span - 1] : [0, Math.round((span - 1) / 2), span - 1];
    below.replaceChildren(...[...new Set(marks)].map((t, i) =>
      text(i ? number(t) : `${unit} ${number(t)}`, i ? x(t) : X - 5, Y + TALL + 15, i ? "middle" : "start")));
  }
  function set(next) {
    setTop(next.top);
    setSpan(next.span);
    const points = values => [...values.entries()].flatMap(([t, value]) => (value === null ? [] : [[x(t), y(value)]]));
    next.series.forEach((values, i) => curves[i].setAttribute("d", linePath(points(values))));
    if (band) band.setAttribute("d", `${linePath([...points(next.band[0]), ...points(next.band[1]).reverse()])}z`);
    now.style.display = next.now == null ? "none" : "";
    if (next.now != null) setNow(next.now);
    level.style.display = next.level ? "" : "none";
    if (!next.level) return;
    setAll(level, { y1: y(next.level[0]), y2: y(next.level[0]) });
    setAll(levelName, { y: y(next.level[0]) + 4 });
    put(levelName, next.level[1]);
  }
  const setNow = t => setAll(now, { x1: x(t), x2: x(t) });
  return { svg, set, setNow };
}

const LINES = [["currentColor", "none"], ["#d0497e", "6 3"], ["#3f74e0", "2 2"], ["#8a7f6a", "8 2 2 2"]];

// The plots of a run that is under way: `set(panels)` takes what browser_values.py sends. The name and last value of
// each line stand above its plot.
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

function linePlot(panel, total, number = t => grouped(t + 1)) {
  const names = panel.lines.map(line => line.name).join();
  const key = panel.lines.map(({ name }, i) => {
    const reading = h("span", { class: "gl-num" });
    return { reading, node: lineKey(name, ...LINES[i % LINES.length], reading) };
  });
  const plot = chart(panel.lines.map((_, i) => LINES[i % LINES.length]), panel.title, { number });
  const caption = h("figcaption", {}, h("b", {}, panel.title), h("span", {}, ...key.map(each => each.node)));
  let shown = null;
  function set(next, now) {
    shown = next;
    const { title, lines, top } = next, known = lines.flatMap(line => line.values.filter(value => value !== null));
    const count = lines[0].values.length, series = lines.map(line => line.values);
    plot.set({ span: spanOf(count, total), top: top || roundTop(Math.max(...known)), series, now });
    read(count - 1);
    const readings = lines.map((line, i) => `${line.name} ${key[i].reading.textContent}`).join(", ");
    plot.svg.setAttribute("aria-label", `${title}, ${readings} after ${number(count - 1)} epochs`);
  }
  function read(t) {          // the values at epoch t, or the latest before it
    shown.lines.forEach(({ values }, i) => {
      const latest = values.slice(0, t + 1).findLast(value => value !== null);
      put(key[i].reading, latest == null ? "" : fixed(latest, latest < 0.2 ? 3 : 2));
    });
  }
  const setNow = t => { plot.setNow(t); read(t); };
  return { node: h("figure", {}, caption, plot.svg), set, setNow,
    fits: other => other.title === panel.title && other.lines.map(line => line.name).join() === names };
}
