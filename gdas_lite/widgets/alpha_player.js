// The alpha player: the epochs of a search, scrubbed or played. Every number was sent once, so nothing waits for Python.
const render = widget("alpha player", (model, { root, guard, listen }) => {
  const epochs = model.get("epochs"), cells = model.get("cells"), parts = model.get("parts").map(prepare);
  const last = epochs.length - 1;
  let part = 0, row = 0, timer = null, stage = null;

  const scrub = slider("epoch", { min: 0, max: last, step: 1, value: 0, name: "epoch", read: t => `${t + 1} of ${last + 1}`,
    oninput: guard(t => go(t)) });
  const play = h("button", { type: "button", onclick: guard(() => (timer ? stop() : start())) }, "play");
  const choice = h("select", { "aria-label": "cell", hidden: parts.length < 2, onchange: guard(() => { part = +choice.value; row = 0; build(); }) },
    ...parts.map((each, i) => h("option", { value: i }, `${each.kind} cell`)));
  const numbersLine = h("span", { class: "gl-num", "data-name": "numbers" });
  const place = h("div", { class: "gl-graphs" });
  const found = h("p", { "data-name": "derived" }), arch = h("p", { class: "gl-arch", "data-name": "arch" });
  root.prepend(h("div", { class: "gl-controls" }, play, scrub.node, choice, numbersLine), place);

  function go(t) {
    model.set("epoch", t);
    model.save_changes();
    draw(t);
  }
  function start() {
    if (model.get("epoch") >= last) go(0);
    timer = setInterval(guard(() => {
      if (model.get("epoch") >= last) stop();
      else go(model.get("epoch") + 1);
    }), Math.max(60, Math.min(300, 12000 / (last + 1))));
    put(play, "pause");
  }
  function stop() {
    clearInterval(timer);
    timer = null;
    put(play, "play");
  }

  function build() {      // what belongs to the chosen cell: its matrix, its curves; the graph may change with the epoch
    const own = parts[part], pick = r => { row = r; draw(model.get("epoch")); };
    stage = { own, graphs: new Map(), matrix: drawMatrix(own, guard(pick)), curves: drawCurves(own), holder: h("div", {}), pick };
    place.classList.toggle("gl-wide", own.scenes.some(({ scene }) => scene.size[0] > 620));
    place.replaceChildren(h("div", {}, stage.holder, found, arch),
      h("div", { class: "gl-graphs" }, h("div", { class: "gl-scroll gl-snug" }, stage.matrix.table), stage.curves.node));
    draw(model.get("epoch"));
  }

  function draw(t) {
    const { own, graphs, matrix, curves, holder, pick } = stage, kept = own.kept[t], p = own.at(t);
    scrub.set(t);
    const number = own.scene_of[t];
    if (number >= 0 && !graphs.has(number))
      graphs.set(number, drawCell(own.scenes[number].scene, { onpick: i => guard(pick)(own.scenes[number].rows[i]), name: `${own.kind} cell` }));
    const graph = graphs.get(number);
    if (holder.firstChild !== (graph ? graph.svg : null)) holder.replaceChildren(...(graph ? [graph.svg] : []));
    if (graph) {
      const rows = own.scenes[number].rows, useful = own.is_nasbench201 && usefulEdges(own, kept);
      rows.forEach((r, i) => graph.set(i, look(own, r, kept[r], p[r], useful && !useful[r])));
      graph.mark(rows.indexOf(row));
    }
    matrix.set(p, kept, row);
    curves.set(t, row);
    put(numbersLine, epochs[t].numbers);
    const cell = cells[epochs[t].cell];
    put(found, !cell ? "This search derives a cell only at its end." : `Cell after epoch ${t + 1}: ${cell.score || model.get("without")}`);
    put(arch, cell ? cell.text : "");
  }

  listen(["epoch"], () => draw(model.get("epoch")));
  build();
  return stop;
});

// The probabilities of one kind of cell as `at(epoch)`: a row of numbers for each edge.
function prepare(part) {
  const K = part.candidates.length, E = part.edges.length, flat = numbers(part.probabilities, Float32Array);
  const at = t => part.edges.map((_, e) => Array.from(flat.subarray((t * E + e) * K, (t * E + e + 1) * K)));
  return { ...part, at, K, top: flat.reduce((a, b) => Math.max(a, b), 0), flat };
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

// The probabilities of one edge over all epochs, the epoch of the moment as a line.
function drawCurves(own) {
  const X = 34, WIDE = 350, TALL = 92, epochs = own.kept.length, top = Math.min(1, own.top * 1.08), dashes = ["none", "6 3", "2 2", "8 2 2 2"];
  const x = t => X + WIDE * (epochs > 1 ? t / (epochs - 1) : 0), y = p => 4 + TALL * (1 - p / top);
  const text = (words, at, down, anchor) => h("text", { x: at, y: down, "text-anchor": anchor }, words);
  const now = h("line", { y1: 4, y2: 4 + TALL, class: "gl-now" });
  const curves = own.candidates.map(({ colour }, k) =>
    h("path", { fill: "none", stroke: colour, "stroke-width": 1.8, "stroke-dasharray": dashes[k % dashes.length] }));
  const svg = h("svg", { class: "gl-plot", viewBox: `0 0 ${X + WIDE + 8} ${TALL + 24}`, role: "img", "aria-label": "probabilities of the chosen edge over the epochs" },
    h("line", { x1: X, x2: X + WIDE, y1: y(1 / own.K), y2: y(1 / own.K), class: "gl-rule" }), text(`1/${own.K}`, X - 4, y(1 / own.K) + 4, "end"),
    h("line", { x1: X, x2: X + WIDE, y1: y(0), y2: y(0), class: "gl-rule" }), text("0", X - 4, y(0) + 4, "end"),
    text(fixed(own.top, 2), X - 4, y(own.top) + 6, "end"), text("epoch 1", X, TALL + 20, "start"), text(String(epochs), X + WIDE, TALL + 20, "end"), now, ...curves);
  const caption = h("figcaption", {}), node = h("figure", {}, caption, svg);
  let shown = -1;
  function set(t, row) {
    setAll(now, { x1: x(t), x2: x(t) });
    if (row === shown) return;
    shown = row;
    put(caption, `Edge ${name(own, row)} over the epochs (choose an edge in the graph or the matrix)`);
    const E = own.edges.length;
    curves.forEach((curve, k) => curve.setAttribute("d", "M" + Array.from({ length: epochs }, (_, t) =>
      `${x(t).toFixed(1)} ${y(own.flat[(t * E + row) * own.K + k]).toFixed(1)}`).join("L")));
  }
  return { node, set };
}
export default { render };
