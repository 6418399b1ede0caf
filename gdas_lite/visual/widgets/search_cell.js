// What shows a search cell at work: shared by the alpha player and the dashboard.

const NO_CELL_YET = "This search derives a cell only at its end.";

// Graph, matrix and curves of one kind of cell, of a search of `total` epochs. `draw(t, d, words, arch)` shows epoch t,
// which is number d of those with a drawn cell; `own` may have been given later epochs in between.
function searchCell(own, total, guard) {
  const graphs = new Map(), holder = h("div", {});
  const found = h("p", { "data-name": "derived" }), arch = h("p", { class: "gl-arch", "data-name": "arch" });
  const left = h("div", {}, holder, found, arch);
  let row = 0, shown = null, scenes = null, layout = "";
  const pick = guard(r => { row = r; if (shown) draw(...shown); });
  const matrix = drawMatrix(own, pick), curves = drawCurves(own, total);

  function graphOf(number) {          // one graph for each layout; it is drawn anew only if the layout is another
    if (own.scenes !== scenes) {
      const text = JSON.stringify(own.scenes);
      if (text !== layout) graphs.clear();
      [scenes, layout] = [own.scenes, text];
    }
    if (number >= 0 && !graphs.has(number)) {
      const { scene, rows } = own.scenes[number];
      graphs.set(number, drawCell(scene, { onpick: i => pick(rows[i]), name: `${own.kind} cell` }));
    }
    return graphs.get(number);
  }
  function draw(t, d, words, text) {
    shown = [t, d, words, text];
    const kept = own.kept[d], p = own.at(t), number = own.scene_of[d], graph = graphOf(number);
    if (holder.firstChild !== (graph ? graph.block : null)) holder.replaceChildren(...(graph ? [graph.block] : []));
    if (graph) {
      left.style.minWidth = `min(100%, ${graph.narrowest} + 6px)`;
      const rows = own.scenes[number].rows, useful = own.is_nasbench201 && usefulEdges(own, kept);
      rows.forEach((r, i) => graph.set(i, look(own, r, kept[r], p[r], useful && !useful[r])));
      graph.mark(rows.indexOf(row));
    }
    matrix.set(p, kept, row);
    curves.set(t, row);
    put(found, words);
    put(arch, text);
  }
  const right = h("div", { class: "gl-graphs" }, h("div", { class: "gl-scroll gl-snug" }, matrix.table), curves.node);
  return { nodes: [left, right], left, draw, isWide: () => own.scenes.some(({ scene }) => scene.size[0] > 620) };
}

// The probabilities of one kind of cell as `at(epoch)`: a row of numbers for each edge; `count` epochs are known.
function prepare(part) {
  const flat = numbers(part.probabilities, Float32Array), E = part.edges.length, K = part.candidates.length;
  const at = t => part.edges.map((_, r) => flat.subarray((t * E + r) * K, (t * E + r + 1) * K));
  return { ...part, flat, at, K, count: flat.length / (E * K), top: flat.reduce((a, b) => Math.max(a, b), 0) };
}

const name = (own, r) => own.edges[r].map(node => own.nodes[node]).join(" \u2192 ");

// How an edge looks: the width grows from 1/K (thin) to 1 (thick), in every search alike.
function look(own, r, columns, p, isUseless) {
  const free = p.map((x, k) => (own.candidates[k].name === "none" && !own.is_nasbench201 ? -1 : x));
  const shown = columns.length ? columns : [free.indexOf(Math.max(...free))];
  const best = own.candidates[shown[0]], width = 1 + 9 * Math.max(0, p[shown[0]] - 1 / own.K) / (1 - 1 / own.K);
  const labels = shown.map(k => own.candidates[k].label);
  return { lines: shown.length > 1 ? labels.slice(0, 2) : [labels[0], fixed(p[shown[0]])],
    colour: best.colour, text: best.text, width,
    state: !columns.length ? "faint" : best.name === "none" || isUseless ? "dotted" : "",
    label: `edge ${name(own, r)}: ${shown.map(k => `${own.candidates[k].name} ${fixed(p[k])}`).join(" and ")}` +
      (columns.length ? (isUseless ? ", on no path to the output" : "") : ", not in the derived cell") };
}

function usefulEdges(own, kept) {
  const names = kept.map(columns => (columns.length ? own.candidates[columns[0]].name : "none"));
  const nodes = onPath(own.edges, names);
  return own.edges.map(([src, dst]) => nodes.has(src) && nodes.has(dst));
}

// The matrix of probabilities; chosen ones are framed. The tint grows from 0 to 1, in every search and epoch alike.
function drawMatrix(own, onpick) {
  const heads = own.candidates.map(({ label, colour, text }) =>
    h("th", { scope: "col" }, h("span", { class: "gl-chip", style: `background:${colour};color:${text}` }, label)));
  const rows = own.edges.map((_, r) => {
    const button = h("button", { type: "button", class: "gl-row", onclick: () => onpick(r) }, name(own, r));
    const cells = own.candidates.map(() => h("td", { class: "gl-num" }));
    return { node: h("tr", {}, h("th", { scope: "row" }, button), ...cells), cells, button };
  });
  const words = `softmax(alpha), tinted from 0 to 1; 1/${own.K} is ${fixed(1 / own.K)}; framed: chosen`;
  const longest = Math.max(...own.candidates.flatMap(({ label }) => label.split(" ").map(word => word.length)));
  const width = 72 + own.K * Math.max(54, 8 * longest);
  const table = h("table", { class: "gl-matrix", style: `width:${width}px` }, h("caption", {}, words),
    h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "edge"), ...heads)),
    h("tbody", {}, ...rows.map(each => each.node)));
  const set = (p, kept, chosen) => rows.forEach(({ cells, button, node }, r) => {
    node.classList.toggle("gl-drawn", r === chosen);
    button.setAttribute("aria-pressed", r === chosen);
    cells.forEach((cell, k) => {
      put(cell, fixed(p[r][k]));
      cell.style.backgroundColor = own.candidates[k].colour + Math.round(150 * p[r][k]).toString(16).padStart(2, "0");
      cell.classList.toggle("gl-kept", kept[r].includes(k));
    });
  });
  return { table, set };
}

// The probabilities of one edge over the epochs known so far, of `total`; the epoch of the moment as a line.
function drawCurves(own, total) {
  const dashes = ["none", "6 3", "2 2", "8 2 2 2"];
  const plot = chart(own.candidates.map(({ colour }, k) => [colour, dashes[k % dashes.length]]),
    "probabilities of the chosen edge over the epochs", { number: own.number });
  const caption = h("figcaption", {}), node = h("figure", {}, caption, plot.svg);
  let shown = null;
  function set(t, row) {
    if (shown && shown.row === row && shown.flat === own.flat) return plot.setNow(t);
    shown = { row, flat: own.flat };
    const E = own.edges.length, epochs = Array.from({ length: own.count }, (_, epoch) => epoch);
    put(caption, `Edge ${name(own, row)} over the epochs (choose an edge in the graph or the matrix)`);
    plot.set({ span: spanOf(own.count, total), top: Math.min(1, roundTop(own.top)), now: t,
      level: [1 / own.K, `1/${own.K}`],
      series: own.candidates.map((_, k) => epochs.map(epoch => own.flat[(epoch * E + row) * own.K + k])) });
  }
  return { node, set };
}
