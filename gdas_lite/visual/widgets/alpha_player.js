// The alpha player: the epochs of a search, or of several side by side, scrubbed or played. Every number was sent once,
// so nothing waits for Python.
const SPEEDS = [0.25, 0.5, 1, 2, 4], SHORTEST_MS = 60;

const render = widget("alpha player", (model, { root, guard, listen }) => {
  const runs = model.get("runs").map(run => ({ ...run, parts: run.parts.map(prepare) })), isPair = runs.length > 1;
  const top = Math.max(...runs.flatMap(run => run.parts.map(part => part.top)));
  const last = Math.max(...runs.map(run => run.epochs.length)) - 1, kinds = runs[0].parts.map(part => part.kind);
  const longest = runs.find(run => run.epochs.length > last), done = t => grouped(longest.epochs[t].done);
  runs.forEach(run => run.parts.forEach(part => Object.assign(part, { top, number: done })));      // one axis for all
  let kind = 0, timer = null, mine = null, columns = [];         // mine: the epoch that this view has played last

  const scrub = slider("epoch", { min: 0, max: last, step: 1, value: 0, name: "epoch", oninput: guard(t => go(t)),
    read: t => `${done(t)} of ${done(last)}` });
  const play = h("button", { type: "button", onclick: guard(() => (timer ? stop() : start())) }, "play");
  const speed = h("select", { name: "speed", "aria-label": "speed",
    onchange: guard(() => { if (timer) { stop(); start(); } }) },
    ...SPEEDS.map(factor => h("option", { value: factor, selected: factor === 1 }, `${factor} \u00d7`)));
  const choice = h("select", { "aria-label": "cell", hidden: kinds.length < 2,
    onchange: guard(() => { kind = +choice.value; build(); }) },
    ...kinds.map((each, i) => h("option", { value: i }, `${each} cell`)));
  const place = h("div", { class: "gl-graphs" }), panel = model.get("truth");
  const truth = panel.title && linePlot(panel, last + 1, done);
  if (truth) truth.set(panel, 0);
  root.prepend(h("div", { class: "gl-controls" }, play, scrub.node, h("label", {}, "speed ", speed), choice),
    ...(truth && isPair ? [truth.node] : []), place);

  function go(t) {
    mine = t;
    model.set("epoch", t);          // which draws it, in every view
    model.save_changes();
  }
  function start() {
    if (model.get("epoch") >= last) go(0);
    mine = null;
    const wait = Math.max(SHORTEST_MS, Math.min(300, 12000 / (last + 1))) / speed.value;
    const stride = Math.max(1, Math.round(SHORTEST_MS / wait));         // some epochs at once, for frames not too short
    timer = setInterval(guard(() => {
      if (model.get("epoch") >= last) stop();
      else go(Math.min(last, model.get("epoch") + stride));
    }), Math.max(wait, SHORTEST_MS));
    put(play, "pause");
  }
  function stop() {
    clearInterval(timer);
    timer = null;
    put(play, "play");
  }

  function build() {      // what belongs to the chosen kind of cell
    columns = runs.map(run => {
      const stage = searchCell(run.parts[kind], run.epochs.length, guard);
      const line = h("p", { class: "gl-num gl-wrap", "data-name": "numbers" });
      stage.left.append(line, ...(truth && !isPair ? [truth.node] : []));
      if (isPair) stage.nodes.forEach(node => node.prepend(h("h3", {}, run.name)));
      return { stage, line };
    });
    place.classList.toggle("gl-wide", columns.some(({ stage }) => stage.isWide()));
    place.replaceChildren(...[0, 1].flatMap(i => columns.map(({ stage }) => stage.nodes[i])));    // cells, then numbers
    draw(model.get("epoch"));
  }

  function draw(now) {
    scrub.set(now);
    if (truth) truth.setNow(now);
    columns.forEach(({ stage, line }, i) => {
      const { epochs, cells } = runs[i], t = Math.min(now, epochs.length - 1), cell = cells[epochs[t].cell];
      const words = cell && (cell.score || model.get("without"));
      put(line, epochs[t].numbers);
      stage.draw(t, t, !cell ? NO_CELL_YET
        : `Cell after epoch ${epochs[t].done}${t < now ? ", its last" : ""}${words && `: ${words}`}`, cell ? cell.text : "");
    });
  }

  listen(["epoch"], () => {
    if (timer && mine !== null && model.get("epoch") !== mine) stop();      // another view plays, or Python chose one
    draw(model.get("epoch"));
  });
  build();
  return stop;
});
export default { render };
