// The cell builder: an operation on each edge of a NAS-Bench-201 cell. Costs add up over the edges; accuracies of all cells
// were sent once, in the order of NASBench201Genotype.all(): base-5 digits, the last edge counts fastest.
const render = widget("cell builder", (model, { root, guard, listen }) => {
  const styles = model.get("styles"), edges = model.get("edges"), cost = model.get("cost"), about = model.get("about");
  const hasTable = about.column !== "", K = styles.length;
  const rank = hasTable && numbers(model.get("ranks"), Uint16Array), accuracy = hasTable && numbers(model.get("accuracies"), Uint16Array);
  const place = columns => columns.reduce((sum, k) => sum * K + k, 0);
  const columnsOf = names => names.map(name => styles.findIndex(style => style.name === name));
  const title = e => `${edges[e][0]} \u2192 ${edges[e][1]}`;

  const change = (e, k) => {
    const ops = [...model.get("ops")];
    ops[e] = styles[k].name;
    choose(ops);
  };
  const choose = guard(ops => { model.set("ops", ops); model.save_changes(); draw(); });
  const graph = drawCell(model.get("scene"), { name: "the cell; Enter on an edge takes the next operation",
    onpick: guard(e => change(e, (columnsOf(model.get("ops"))[e] + 1) % K)) });
  const selects = edges.map((_, e) => h("select", { name: `edge-${e}`, "aria-label": `operation on edge ${title(e)}`,
    onchange: guard(event => change(e, +event.target.value)) }, ...styles.map((style, k) => h("option", { value: k }, style.name))));
  const swatches = edges.map(() => h("span", { class: "gl-chip gl-swatch", "aria-hidden": "true" }));
  const random = h("button", { type: "button", onclick: guard(() => choose(edges.map(() => styles[Math.floor(Math.random() * K)].name))) }, "random cell");
  const step = h("button", { type: "button", onclick: guard(() => { const best = betterNeighbour(columnsOf(model.get("ops"))); if (best) change(best.e, best.k); }) },
    "take that step");
  const fact = (label, name, live) => {
    const value = h("td", { "data-name": name, "aria-live": live && "polite" });
    return { value, node: h("tr", {}, h("th", { scope: "row" }, label), value) };
  };
  const facts = { arch: fact("string", "arch"), parameters: fact("parameters", "parameters"), adds: fact("multiply-adds", "adds"),
    accuracy: fact("accuracy", "accuracy", true), rank: fact("rank", "rank"), better: fact("nearest better", "better") };
  facts.arch.value.className = "gl-arch";
  const shown = Object.entries(facts).filter(([name]) => hasTable || !["accuracy", "rank", "better"].includes(name));
  root.prepend(h("div", { class: "gl-graphs" },
    h("div", {}, graph.svg, h("table", { class: "gl-facts" }, h("caption", {}, about.network), h("tbody", {}, ...shown.map(([, each]) => each.node))),
      h("p", {}, hasTable ? "" : "Accuracy and rank are shown with a table: CellBuilder(table=...).")),
    h("div", { class: "gl-snug" }, h("table", {}, h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "edge"), h("th", { scope: "col", colspan: 2 }, "operation"))),
      h("tbody", {}, ...edges.map((_, e) => h("tr", {}, h("th", { scope: "row" }, title(e)), h("td", {}, swatches[e]), h("td", {}, selects[e]))))),
      h("div", { class: "gl-controls" }, random, ...(hasTable ? [step] : [])))));

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
    if (columns.length !== edges.length || columns.includes(-1)) throw new RangeError(`ops must be six of ${styles.map(style => style.name).join(", ")}`);
    const nodes = onPath(edges, names);
    columns.forEach((k, e) => {
      const style = styles[k], useful = edges[e].every(node => nodes.has(node)), isNone = style.name === "none";
      graph.set(e, { lines: [style.label, title(e)], colour: style.colour, text: style.text, width: isNone ? 1.4 : 2.6, state: isNone || !useful ? "dotted" : "",
        label: `edge ${title(e)}: ${style.name}${useful || isNone ? "" : ", on no path from input to output"}` });
      selects[e].value = k;
      setAll(swatches[e], { style: `background:${style.colour}` });
    });
    put(facts.arch.value, archText(edges, names));
    const sum = what => columns.reduce((total, k) => total + cost[what].edge[k], cost[what].base);
    put(facts.parameters.value, grouped(sum("parameters")));
    put(facts.adds.value, grouped(sum("multiply_adds")));
    if (!hasTable) return;
    const here = place(columns), better = betterNeighbour(columns), percent = at => `${(accuracy[at] / 100).toFixed(2)} %`;
    put(facts.accuracy.value, `${percent(here)} (${about.column})`);
    put(facts.rank.value, `${grouped(rank[here])} of ${grouped(rank.length)}`);
    put(facts.better.value, better
      ? `${styles[better.k].name} on edge ${title(better.e)}: ${percent(better.there)}, rank ${grouped(rank[better.there])}; ${better.count} of 24 neighbours are better`
      : "none of the 24 cells one edge away: a local optimum");
    step.disabled = !better;
  }

  listen(["ops"], draw);
  draw();
});
export default { render };
