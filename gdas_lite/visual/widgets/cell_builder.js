// The cell builder: an operation on each edge of a NAS-Bench-201 cell. Costs add up over the edges; accuracies of all
// cells were sent once, in the order of NASBench201Genotype.all(): base-5 digits, the last edge counts fastest.
const render = widget("cell builder", (model, { root, guard, listen }) => {
  const styles = model.get("styles"), edges = model.get("edges"), cost = model.get("cost"), about = model.get("about");
  const hasTable = about.column !== "", K = styles.length;
  const rank = hasTable && numbers(model.get("ranks"), Uint16Array);
  const accuracy = hasTable && numbers(model.get("accuracies"), Uint16Array);
  const place = columns => columns.reduce((sum, k) => sum * K + k, 0);
  const columnsOf = names => names.map(name => styles.findIndex(style => style.name === name));
  const title = e => `${edges[e][0]} \u2192 ${edges[e][1]}`;
  const start = [...model.get("ops")], past = [];        // past: of the cells shown before this one
  let shown = null;

  const choose = guard(ops => { model.set("ops", ops); model.save_changes(); draw(); });
  const change = (e, k) => choose(model.get("ops").map((op, at) => (at === e ? styles[k].name : op)));
  const button = (words, f) => h("button", { type: "button", onclick: guard(f) }, words);
  const graph = drawCell(model.get("scene"), { name: "the cell; Enter on an edge takes the next operation",
    onpick: guard(e => change(e, (columnsOf(model.get("ops"))[e] + 1) % K)) });
  const selects = edges.map((_, e) => h("select", { name: `edge-${e}`, "aria-label": `operation on edge ${title(e)}`,
    onchange: guard(event => change(e, +event.target.value)) },
    ...styles.map((style, k) => h("option", { value: k }, style.name))));
  const swatches = edges.map(() => h("span", { class: "gl-chip gl-swatch", "aria-hidden": "true" }));
  const undo = button("undo", () => { const before = past.pop(); shown = null; choose(before); });
  const step = button("take that step", () => {
    const best = betterNeighbour(columnsOf(model.get("ops")));
    if (best) change(best.e, best.k);
  });
  const buttons = [undo, button("reset", () => choose(start)),
    ...Object.entries(about.named).map(([name, ops]) => button(name, () => choose(ops))),
    button("random cell", () => choose(edges.map(() => styles[Math.floor(Math.random() * K)].name)))];

  const fact = (label, name, live, ...more) => {
    const value = h("span", { "data-name": name, "aria-live": live && "polite" });
    return { value, node: h("tr", {}, h("th", { scope: "row" }, label), h("td", {}, value, ...more)) };
  };
  const alive = { parameters: fact("", "live-parameters").value, multiply_adds: fact("", "live-adds").value };
  const without = what => h("span", {}, "; without dead operations ", alive[what]);
  const facts = { arch: fact("string", "arch"), live: fact("operations", "live", true),
    parameters: fact("parameters", "parameters", false, without("parameters")),
    multiply_adds: fact("multiply-adds", "adds", false, without("multiply_adds")),
    accuracy: fact("accuracy", "accuracy", true), rank: fact("rank", "rank"),
    better: fact("nearest better", "better", false, " ", step) };
  facts.arch.value.className = "gl-arch";
  const rows = Object.entries(facts).filter(([name]) => hasTable || !["accuracy", "rank", "better"].includes(name));
  root.prepend(h("div", { class: "gl-controls" }, ...buttons), h("div", { class: "gl-graphs" },
    h("div", { style: `flex-basis:calc(${graph.narrowest} + 6px)` }, graph.block, h("table", { class: "gl-facts" },
      h("caption", {}, about.network), h("tbody", {}, ...rows.map(([, each]) => each.node))),
      h("p", {}, hasTable ? "" : "Accuracy and rank are shown with a table: CellBuilder(table=...).")),
    h("div", { class: "gl-snug" }, h("table", {}, h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "edge"),
      h("th", { scope: "col", colspan: 2 }, "operation"))), h("tbody", {}, ...edges.map((_, e) =>
      h("tr", {}, h("th", { scope: "row" }, title(e)), h("td", {}, swatches[e]), h("td", {}, selects[e]))))))));

  // Of the 24 cells that differ on one edge, the best one that is better than this; null at a local optimum.
  function betterNeighbour(columns) {
    const here = place(columns);
    let best = null, count = 0;
    columns.forEach((own, e) => styles.forEach((_, k) => {
      if (k === own) return;
      const there = place(columns.map((other, at) => (at === e ? k : other)));
      if (rank[there] >= rank[here]) return;
      count++;
      if (!best || rank[there] < rank[best.there]) best = { e, k, there };
    }));
    return best && { ...best, count };
  }

  function draw() {
    const names = model.get("ops"), columns = columnsOf(names);
    if (columns.length !== edges.length || columns.includes(-1))
      throw new RangeError(`ops must be six of ${styles.map(style => style.name).join(", ")}`);
    if (shown && shown.join() !== names.join()) past.push(shown);        // also where Python chose the cell
    shown = [...names];
    undo.disabled = !past.length;
    const nodes = onPath(edges, names);
    const isLive = columns.map((k, e) => styles[k].name !== "none" && edges[e].every(node => nodes.has(node)));
    columns.forEach((k, e) => {
      const style = styles[k], isNone = style.name === "none", isDead = !isNone && !isLive[e];
      graph.set(e, { lines: [style.label, title(e)], colour: style.colour, text: style.text, width: isNone ? 1.4 : 2.6,
        state: isLive[e] ? "" : "dotted",
        label: `edge ${title(e)}: ${style.name}${isDead ? ", on no path from input to output" : ""}` });
      selects[e].value = k;
      setAll(swatches[e], { style: `background:${style.colour}` });
    });
    const list = which => columns.flatMap((k, e) =>
      (which(e, styles[k].name) ? [`${styles[k].label} on ${title(e)}`] : [])).join(", ");
    const dead = list((e, op) => op !== "none" && !isLive[e]), live = list(e => isLive[e]);
    put(facts.live.value, `live: ${live || "none, so no input reaches the output"}${dead && `; dead: ${dead}`}`);
    put(facts.arch.value, archText(edges, names));
    for (const what of ["parameters", "multiply_adds"]) {
      const sum = which => columns.reduce((total, k, e) => total + which(e) * cost[what].edge[k], cost[what].base);
      put(facts[what].value, grouped(sum(() => true)));
      put(alive[what], grouped(sum(e => isLive[e])));
      alive[what].parentNode.hidden = !dead;
    }
    if (!hasTable) return;
    const here = place(columns), better = betterNeighbour(columns);
    const percent = at => `${(accuracy[at] / 100).toFixed(2)} %`;
    put(facts.accuracy.value, `${percent(here)} (${about.column})`);
    put(facts.rank.value, `${grouped(rank[here])} of ${grouped(rank.length)}`);
    put(facts.better.value, better ? `${styles[better.k].name} on edge ${title(better.e)}: ${percent(better.there)}, ` +
      `rank ${grouped(rank[better.there])}; ${better.count} of 24 neighbours are better`
      : "none of the 24 cells one edge away: a local optimum");
    step.disabled = !better;
  }

  listen(["ops"], draw);
  draw();
});
export default { render };
