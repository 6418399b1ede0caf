// The temperature explorer: all numbers are computed here, from alpha, tau and the noise of a fixed generator.
const tauText = tau => fixed(tau, tau < 0.0999 ? 3 : 2);
const STRIP = 40, CURVE = Array.from({ length: 31 }, (_, i) => 10 ** (-1 + i / 15));     // tau from 0.1 to 10

// Uniform numbers in (0, 1) from a 32-bit seed (mulberry32); temperature.py draws the same ones.
function uniforms(seed, count) {
  const out = new Float64Array(count);
  for (let i = 0; i < count; i++) {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), seed | 1);
    t = (t + Math.imul(t ^ (t >>> 7), t | 61)) ^ t;
    out[i] = (((t ^ (t >>> 14)) >>> 0) + 0.5) / 4294967296;
  }
  return out;
}

// Frobenius norm of d p / d alpha, p = softmax((log softmax(alpha) + g) / tau): the Jacobian is (diag p - p p') / tau.
function gradientSize(p, tau) {
  let square = 0, sum = 0;
  for (const x of p) square += x * x;
  for (const x of p) sum += x * x * (1 - 2 * x + square);
  return Math.sqrt(Math.max(0, sum)) / tau;
}

// Of all draws. `noisy` holds K numbers a draw, one after the other; loops without new arrays, for this runs at 31 tau.
function statistics(noisy, K, tau) {
  const sizes = new Float64Array(noisy.length / K), p = new Float64Array(K), half = sizes.length >> 1;
  let total = 0;
  for (let n = 0; n < sizes.length; n++) {
    let top = -Infinity, sum = 0;
    for (let k = 0; k < K; k++) top = Math.max(top, noisy[n * K + k]);
    for (let k = 0; k < K; k++) sum += p[k] = Math.exp((noisy[n * K + k] - top) / tau);
    for (let k = 0; k < K; k++) p[k] /= sum;
    total += sizes[n] = gradientSize(p, tau);
  }
  sizes.sort();
  return { mean: total / sizes.length, largest: sizes[sizes.length - 1],
    median: sizes.length % 2 ? sizes[half] : (sizes[half - 1] + sizes[half]) / 2 };
}

function bar(colour, withMark) {
  const fill = h("i", { style: `background:${colour}` }), mark = withMark && h("b", {});
  const node = h("span", { class: "gl-bar", "aria-hidden": "true" }, fill, ...(mark ? [mark] : []));
  const set = (part, at) => {
    fill.style.width = `${100 * part}%`;
    if (mark) mark.style.left = `calc(${100 * at}% - 1px)`;
  };
  return { node, set };
}

const render = widget("temperature explorer", (model, { root, guard, listen }) => {
  const styles = model.get("styles"), count = model.get("draws"), K = styles.length;
  let probabilities, noisy, chosen, shares;      // per alpha and seed: softmax, log-probability + noise, who is drawn

  const send = (name, value) => { model.set(name, value); model.save_changes(); };
  const tau = slider("temperature tau", { min: -1, max: 1, step: 0.02, value: 0, name: "tau",
    read: x => tauText(10 ** x),
    oninput: guard(x => { const value = +(10 ** x).toPrecision(4); drawTau(value); send("tau", value); }) });
  const start = { alpha: [...model.get("alpha")], tau: model.get("tau"), seed: model.get("seed") };
  const alphas = styles.map((style, k) => slider(style.label, { min: -4, max: 4, step: 0.1, value: 0, swatch: style,
    name: `alpha-${k}`, read: x => fixed(x, 1), oninput: guard(x => {
      const alpha = [...model.get("alpha")];
      alpha[k] = x;
      send("alpha", alpha);
      drawAll();
    }) }));
  const button = (words, f) => h("button", { type: "button", onclick: guard(() => { f(); drawAll(); }) }, words);
  const again = button("draw again", () => send("seed", (model.get("seed") + 1) % 2 ** 31));
  const reset = button("reset", () => Object.entries(start).forEach(([name, value]) => send(name, value)));
  const seedText = h("span", { class: "gl-num" });

  const rows = styles.map((style, k) => {
    const cell = name => h("td", { class: "gl-num", "data-name": `${name}-${k}` });
    const parts = { share: bar(style.colour, true), soft: bar(style.colour, false), probability: cell("probability"),
      shareText: cell("share"), noisy: cell("noisy"), softText: cell("soft"), hard: cell("hard") };
    const head = h("th", { scope: "row" }, alphas[k].node);
    parts.node = h("tr", {}, head, parts.probability, h("td", {}, parts.share.node), parts.shareText, parts.noisy,
      h("td", {}, parts.soft.node), parts.softText, parts.hard);
    return parts;
  });
  const head = (text, span = 1) => h("th", { scope: "col", colspan: span }, text);
  const table = h("table", { class: "gl-draws" },
    h("thead", {}, h("tr", {}, head("operation and its alpha"), head("softmax (alpha)"),
      head(`drawn, of ${grouped(count)} (mark: softmax)`, 2), head("one draw: log p + noise"),
      head("soft sample at tau", 2), head("hard"))),
    h("tbody", {}, ...rows.map(row => row.node)));

  const strip = drawStrip(styles), plot = drawGradient();
  const sizes = h("p", { "data-name": "gradient", "aria-live": "off" });
  const above = (...words) => h("figcaption", {}, ...words);
  const soft = above(`Soft samples of the first ${STRIP} draws at this tau; below, the hard ones, whatever tau is`);
  const gradient = above("Size of the gradient |dp/dalpha| over tau, both logarithmic", h("br"), ...plot.key);
  root.prepend(h("div", { class: "gl-controls" }, tau.node, again, reset, seedText),
    h("div", { class: "gl-scroll" }, table), h("div", { class: "gl-graphs" },
      h("figure", {}, soft, strip.svg), h("figure", {}, gradient, plot.svg, sizes)));

  const draw = n => Array.from(noisy.subarray(n * K, (n + 1) * K));

  function drawAll() {
    const alpha = model.get("alpha");
    if (alpha.length !== K)
      throw new RangeError(`alpha must have ${K} numbers, one for each operation; got ${alpha.length}`);
    probabilities = softmax(alpha);
    const logs = probabilities.map(Math.log);
    noisy = uniforms(model.get("seed"), count * K).map((u, i) => logs[i % K] - Math.log(-Math.log(u)));
    chosen = Array.from({ length: count }, (_, n) => { const z = draw(n); return z.indexOf(Math.max(...z)); });
    shares = styles.map((_, k) => chosen.filter(other => other === k).length / count);
    const top = Math.max(0.01, ...probabilities, ...shares);
    rows.forEach((row, k) => {
      alphas[k].set(alpha[k]);
      put(row.probability, fixed(probabilities[k]));
      row.share.set(shares[k] / top, probabilities[k] / top);
      put(row.shareText, fixed(shares[k]));
      put(row.noisy, fixed(noisy[k], 2));
      put(row.hard, k === chosen[0] ? "1 drawn" : "0");
      row.node.classList.toggle("gl-drawn", k === chosen[0]);
    });
    put(seedText, `noise seed ${model.get("seed")}`);
    strip.setHard(chosen);
    plot.setCurves(CURVE.map(value => statistics(noisy, K, value)));
    drawTau(model.get("tau"));
  }

  function drawTau(value) {
    tau.set(Math.log10(value));
    const soft = Array.from({ length: STRIP }, (_, n) => softmax(draw(n), value));
    rows.forEach((row, k) => { row.soft.set(soft[0][k]); put(row.softText, fixed(soft[0][k])); });
    strip.setSoft(soft);
    const all = statistics(noisy, K, value), read = x => (x < 0.0005 ? x.toExponential(1) : fixed(x));
    plot.setTau(value, all);
    put(sizes, `At tau ${tauText(value)}: this draw ${read(gradientSize(soft[0], value))}; of ${grouped(count)} ` +
      `draws the mean is ${read(all.mean)}, the median ${read(all.median)}, the largest ${read(all.largest)}.`);
  }

  listen(["alpha", "seed"], drawAll);
  listen(["tau"], () => drawTau(model.get("tau")));
  drawAll();
});

// A column a draw: the soft sample stacked to 1, under it a square in the colour of the hard one.
function drawStrip(styles) {
  const W = 10, TALL = 90;
  const svg = h("svg", { class: "gl-plot", viewBox: `0 0 ${STRIP * W} ${TALL + 18}`, role: "img",
    "aria-label": "stacked soft samples and hard samples; the table above has the first draw in numbers" });
  const columns = Array.from({ length: STRIP }, (_, n) =>
    styles.map(style => h("rect", { x: n * W + 0.5, width: W - 1, fill: style.colour })));
  const hard = columns.map((_, n) => h("rect", { x: n * W + 0.5, y: TALL + 6, width: W - 1, height: 11 }));
  svg.append(...columns.flat(), ...hard);
  return {
    svg,
    setHard: chosen => hard.forEach((square, n) => square.setAttribute("fill", styles[chosen[n]].colour)),
    setSoft: soft => soft.forEach((p, n) => {
      let y = 0;
      p.forEach((part, k) => {
        setAll(columns[n][k], { y: (y * TALL).toFixed(2), height: (part * TALL).toFixed(2) });
        y += part;
      });
    }),
  };
}

// Mean, median and largest gradient over tau; both axes logarithmic, gradient from 0.001 to 10.
function drawGradient() {
  const X = 48, TALL = 110, WIDE = 400, LOW = -3, HIGH = 1;
  const x = tau => X + WIDE * (Math.log10(Math.min(10, Math.max(0.1, tau))) + 1) / 2;
  const y = size => 8 + TALL * (HIGH - Math.min(HIGH, Math.max(LOW, Math.log10(size || 1e-9)))) / (HIGH - LOW);
  const svg = h("svg", { class: "gl-plot", viewBox: `0 0 ${X + WIDE + 10} ${TALL + 30}`, role: "img",
    "aria-label": "gradient size over tau; the sentence below has the numbers" });
  const note = (text, at, down, anchor = "middle") => h("text", { x: at, y: down, "text-anchor": anchor }, text);
  for (const size of [0.001, 0.01, 0.1, 1, 10])
    svg.append(h("line", { x1: X, x2: X + WIDE, y1: y(size), y2: y(size), class: "gl-rule" }),
      note(String(size), X - 5, y(size) + 4, "end"));
  for (const tau of [0.1, 1, 10]) svg.append(note(tau === 0.1 ? "tau 0.1" : String(tau), x(tau), TALL + 24));
  const marker = h("line", { y1: 8, y2: 8 + TALL, class: "gl-now" });
  const names = ["largest", "mean", "median"], dashes = ["1 3", "none", "6 3"];
  const curves = dashes.map(pattern =>
    h("path", { fill: "none", stroke: "currentColor", "stroke-width": 1.6, "stroke-dasharray": pattern }));
  const dots = names.map(() => h("circle", { r: 3.2, fill: "currentColor" }));
  svg.append(marker, ...curves, ...dots);
  return {
    svg,
    key: names.map((name, i) => lineKey(name, "currentColor", dashes[i])),
    setCurves: all => names.forEach((name, i) =>
      curves[i].setAttribute("d", linePath(all.map((s, n) => [x(CURVE[n]), y(s[name])])))),
    setTau(tau, all) {
      setAll(marker, { x1: x(tau), x2: x(tau) });
      names.forEach((name, i) => setAll(dots[i], { cx: x(tau), cy: y(all[name]) }));
    },
  };
}
export default { render };
