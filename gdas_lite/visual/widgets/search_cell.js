// What shows a search cell at work: shared by the alpha player and the dashboard.

// Graph, matrix and curves of one kind of cell, of a search of `total` epochs. `draw(t, d, words, arch)` shows epoch t, which
// is number d of those with a drawn cell; `own` may have been given later epochs in between.
function searchCell(own, total, guard) {
  const graphs = new Map(), holder = h("div", {});
  const found = h("p", { "data-name": "derived" }), arch = h("p", { class: "gl-arch", "data-name": "arch" });
  let row = 0, shown = null, scenes = null, layout = "";
  const pick = guard(r => { row = r; if (shown) draw(...shown); });
  const matrix = drawMatrix(own, pick), curves = drawCurves(own, total);

  function graphOf(number) {          // one graph for each layout; it is drawn anew only if the layout is another
    if (own.scenes !== scenes) {
      const text = JSON.stringify(own.scenes);
      if (text !== layout) graphs.clear();
      [scenes, layout] = [own.scenes, text];
    }
    if (number >= 0 && !graphs.has(number))
      graphs.set(number, drawCell(own.scenes[number].scene, { onpick: i => pick(own.scenes[number].rows[i]), name: `${own.kind} cell` }));
    return graphs.get(number);
  }
  function draw(t, d, words, text) {
    shown = [t, d, words, text];
    const kept = own.kept[d], p = own.at(t), number = own.scene_of[d], graph = graphOf(number);
    if (holder.firstChild !== (graph ? graph.svg : null)) holder.replaceChildren(...(graph ? [graph.svg] : []));
    if (graph) {
      const rows = own.scenes[number].rows, useful = own.is_nasbench201 && usefulEdges(own, kept);
      rows.forEach((r, i) => graph.set(i, look(own, r, kept[r], p[r], useful && !useful[r])));
      graph.mark(rows.indexOf(row));
    }
    matrix.set(p, kept, row);
    curves.set(t, row);
    put(found, words);
    put(arch, text);
  }
  const nodes = [h("div", {}, holder, found, arch),
    h("div", { class: "gl-graphs" }, h("div", { class: "gl-scroll gl-snug" }, matrix.table), curves.node)];
  return { nodes, draw, isWide: () => own.scenes.some(({ scene }) => scene.size[0] > 620) };
}
// The probabilities of one kind of cell as `at(epoch)`: a row of numbers for each edge; `count` epochs are known.
function prepare(part) {
  const K = part.candidates.length, E = part.edges.length, flat = numbers(part.probabilities, Float32Array);
  const at = t => part.edges.map((_, e) => Array.from(flat.subarray((t * E + e) * K, (t * E + e + 1) * K)));
  return { ...part, at, K, top: flat.reduce((a, b) => Math.max(a, b), 0), flat, count: flat.length / (E * K) };
}

const name = (own, r) => own.edges[r].map(node => own.nodes[node]).join(" \u2192 ");

// How an edge looks: width from 1/K (thin) to the largest probability of the whole search (thick).
function look(own, r, columns, p, isUseless) {
  const free = p.map((x, k) => (own.candidates[k].name === "none" && !own.is_nasbench201 ? -1 : x));
  const shown = columns.length ? columns : [free.indexOf(Math.max(...free))];
  const best = own.candidates[shown[0]], width = 1 + 6 * Math.max(0, p[shown[0]] - 1 / own.K) / Math.max(1e-6, own.top - 1 / own.K);
  const labels = shown.map(k => own.candidates[k].label);
  return { lines: shown.length > 1 ? labels.slice(0, 2) : [labels[0], fixed(p[shown[0]])], colour: best.colour, text: best.text, width,
    state: !columns.length ? "faint" : best.name === "none" || isUseless ? "dotted" : "",
    label: `edge ${name(own, r)}: ${shown.map(k => `${own.candidates[k].name} ${fixed(p[k])}`).join(" and ")}` +
      (columns.length ? (isUseless ? ", on no path to the output" : "") : ", not in the derived cell") };
}

function usefulEdges(own, kept) {
  const names = kept.map(columns => (columns.length ? own.candidates[columns[0]].name : "none"));
  const nodes = onPath(own.edges, names);
  return own.edges.map(([src, dst]) => nodes.has(src) && nodes.has(dst));
}

// The matrix of probabilities; chosen ones are framed, the tint grows with the probability.
function drawMatrix(own, onpick) {
  const heads = own.candidates.map(({ label, colour, text }) =>
    h("th", { scope: "col" }, h("span", { class: "gl-chip", style: `background:${colour};color:${text}` }, label)));
  const rows = own.edges.map((_, r) => {
    const button = h("button", { type: "button", class: "gl-row", onclick: () => onpick(r) }, name(own, r));
    const cells = own.candidates.map(() => h("td", { class: "gl-num" }));
    return { node: h("tr", {}, h("th", { scope: "row" }, button), ...cells), cells, button };
  });
  const table = h("table", { class: "gl-matrix", style: `width:${80 + 74 * own.K}px` }, h("caption", {}, `softmax(alpha); 1/${own.K} is ${fixed(1 / own.K)}; framed: chosen`),
    h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "edge"), ...heads)), h("tbody", {}, ...rows.map(each => each.node)));
  const set = (p, kept, chosen) => rows.forEach(({ cells, button, node }, r) => {
    node.classList.toggle("gl-drawn", r === chosen);
    button.setAttribute("aria-pressed", r === chosen);
    cells.forEach((cell, k) => {
      put(cell, fixed(p[r][k]));
      cell.style.backgroundColor = own.candidates[k].colour + Math.round(150 * p[r][k] / own.top).toString(16).padStart(2, "0");
      cell.classList.toggle("gl-kept", kept[r].includes(k));
    });
  });
  return { table, set };
}

// How many epochs a plot shows: a search of thousands would be a dot at its beginning, so a long axis doubles as it fills.
function spanOf(count, total) {
  let span = 40;
  while (span < count) span *= 2;
  return Math.min(span, total);
}

// The probabilities of one edge over the epochs known so far, of `total`; the epoch of the moment as a line.
function drawCurves(own, total) {
  const X = 34, WIDE = 350, TALL = 92, dashes = ["none", "6 3", "2 2", "8 2 2 2"];
  let span = 0, shown = null;
  const x = t => X + WIDE * (span > 1 ? t / (span - 1) : 0);
  const text = (words, at, down, anchor) => h("text", { x: at, y: down, "text-anchor": anchor }, words);
  const rule = () => h("line", { x1: X, x2: X + WIDE, class: "gl-rule" });
  const now = h("line", { y1: 4, y2: 4 + TALL, class: "gl-now" }), even = rule(), zero = rule();
  const evenly = text(`1/${own.K}`, X - 4, 0, "end"), highest = text("", X - 4, 0, "end"), last = text("", X + WIDE, TALL + 20, "end");
  const curves = own.candidates.map(({ colour }, k) =>
    h("path", { fill: "none", stroke: colour, "stroke-width": 1.8, "stroke-dasharray": dashes[k % dashes.length] }));
  const svg = h("svg", { class: "gl-plot", viewBox: `0 0 ${X + WIDE + 8} ${TALL + 24}`, role: "img", "aria-label": "probabilities of the chosen edge over the epochs" },
    even, zero, evenly, text("0", X - 4, 4 + TALL + 4, "end"), highest, text("epoch 1", X, TALL + 20, "start"), last, now, ...curves);
  setAll(zero, { y1: 4 + TALL, y2: 4 + TALL });
  const caption = h("figcaption", {}), node = h("figure", {}, caption, svg);
  function set(t, row) {
    span = spanOf(own.count, total);
    setAll(now, { x1: x(t), x2: x(t) });
    if (shown && shown.row === row && shown.flat === own.flat) return;
    shown = { row, flat: own.flat };
    const top = Math.min(1, own.top * 1.08), y = p => 4 + TALL * (1 - p / top), E = own.edges.length, isClose = y(1 / own.K) - y(own.top) < 12;
    setAll(even, { y1: y(1 / own.K), y2: y(1 / own.K) });
    setAll(evenly, { y: y(1 / own.K) + 4 });
    setAll(highest, { y: y(own.top) + 6 });
    put(highest, isClose ? "" : fixed(own.top, 2));         // it would stand on the label of 1/K
    put(last, String(span));
    put(caption, `Edge ${name(own, row)} over the epochs (choose an edge in the graph or the matrix)`);
    curves.forEach((curve, k) => curve.setAttribute("d", linePath(Array.from({ length: own.count }, (_, t) => [x(t), y(own.flat[(t * E + row) * own.K + k])]))));
  }
  return { node, set };
}

// A line through points; one point alone gets a short dash.
function linePath(points) {
  const texts = points.map(([x, y]) => `${x.toFixed(1)} ${y.toFixed(1)}`);
  return texts.length === 1 ? `M${texts[0]}h4` : texts.length ? `M${texts.join("L")}` : "";
}
