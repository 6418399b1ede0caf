// Searches with perfect weights: Python runs them, in about a second; the browser has the controls and draws the rest.
const render = widget("perfect weights explorer", (model, { root, guard, listen }) => {
  const about = model.get("about"), isLive = typeof model.send === "function";
  const send = (name, value) => { model.set(name, value); model.save_changes(); say(); };
  const rule = h("select", { name: "rule", "aria-label": "rule", onchange: guard(() => send("rule", rule.value)) },
    ...about.rules.map(each => h("option", { value: each }, each)));
  const taus = { tau_first: "tau at the first step", tau_last: "tau at the last step" };
  const sliders = Object.entries(taus).map(([name, label]) => {
    const made = slider(label, { min: -2, max: 1, step: 0.05, value: 0, name, oninput: () => {},
      read: x => String(+(10 ** x).toPrecision(3)) });
    made.input.addEventListener("change", guard(() => send(name, +(10 ** made.input.value).toPrecision(3))));
    return [name, made];
  });
  const reset = h("button", { type: "button", onclick: guard(() => {
    for (const [name, value] of Object.entries(about.start)) model.set(name, value);
    model.save_changes();
    say();
  }) }, "reset");
  const waits = h("span", { "data-name": "waits", "aria-live": "polite" });
  const words = h("p", { "data-name": "words", "aria-live": "polite" });
  const arch = h("p", { class: "gl-arch", "data-name": "arch" });
  const key = h("span", {}, lineKey("mean", ...LINES[0]), lineKey("as it was before", ...LINES[1]),
    "shaded: the middle half of the seeds");
  const plot = chart(LINES.slice(0, 2), "regret over the steps; the sentence below has the last one",
    { unit: "step", number: t => grouped(about.records[t]), hasBand: true });
  const graph = drawCell(about.scene, { name: "the cell found most often" });
  const controls = [h("label", {}, "rule ", rule), ...sliders.map(([, each]) => each.node), reset, waits];
  const caption = h("figcaption", {}, h("b", {}, `Regret (percentage points, cut at ${about.top})`), h("br"), key);
  root.prepend(h("div", { class: "gl-controls" }, ...controls),
    isLive ? "" : h("p", {}, "The controls need a running kernel."),
    h("div", { class: "gl-graphs" }, h("figure", {}, caption, plot.svg, words),
      h("div", {}, graph.block, arch)));
  let before = null;          // the curve of the settings before these

  const wanted = () => JSON.stringify(["rule", "tau_first", "tau_last"].map(name => model.get(name)));
  function say() {
    const isStale = wanted() !== JSON.stringify(model.get("result").of);
    put(waits, isStale && !model.get("error") ? "waiting for the kernel ..." : "");
    rule.value = model.get("rule");
    const isBlind = about.without_tau.includes(rule.value);
    for (const [name, each] of sliders) {
      if (document.activeElement !== each.input || !isStale) each.set(Math.log10(model.get(name)));
      each.input.disabled = isBlind || !isLive;
    }
    for (const each of [rule, reset]) each.disabled = !isLive;
  }
  function draw() {
    const { mean, low, high, words: text, ops, arch: cell } = model.get("result");
    plot.set({ span: mean.length, top: about.top, series: [mean, before || []], band: [low, high] });
    before = mean;
    put(words, text);
    put(arch, cell);
    const nodes = onPath(about.edges, ops.map(op => op.name));
    ops.forEach(({ name, label, colour, text: ink }, e) => {
      const isLive = name !== "none" && about.edges[e].every(node => nodes.has(node));
      graph.set(e, { lines: [label, about.edges[e].join(" \u2192 ")], colour, text: ink, width: isLive ? 2.6 : 1.4,
        state: isLive ? "" : "dotted", label: `edge ${about.edges[e].join(" to ")}: ${name}` });
    });
    say();
  }

  listen(["rule", "tau_first", "tau_last", "error"], say);
  listen(["result"], draw);
  draw();
});
export default { render };
