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
    stage = { own, graphs: new Map(), matrix: drawMatrix(own, guard(pick)), curves: drawCurves(own, last + 1), holder: h("div", {}), pick };
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
export default { render };
