// The alpha player: the epochs of a search, scrubbed or played. Every number was sent once, so nothing waits for Python.
const render = widget("alpha player", (model, { root, guard, listen }) => {
  const epochs = model.get("epochs"), cells = model.get("cells"), parts = model.get("parts").map(prepare);
  const last = epochs.length - 1;
  let part = 0, timer = null, stage = null;

  const scrub = slider("epoch", { min: 0, max: last, step: 1, value: 0, name: "epoch", read: t => `${t + 1} of ${last + 1}`,
    oninput: guard(t => go(t)) });
  const play = h("button", { type: "button", onclick: guard(() => (timer ? stop() : start())) }, "play");
  const choice = h("select", { "aria-label": "cell", hidden: parts.length < 2, onchange: guard(() => { part = +choice.value; build(); }) },
    ...parts.map((each, i) => h("option", { value: i }, `${each.kind} cell`)));
  const numbersLine = h("span", { class: "gl-num", "data-name": "numbers" });
  const place = h("div", { class: "gl-graphs" });
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

  function build() {      // what belongs to the chosen cell
    stage = searchCell(parts[part], last + 1, guard);
    place.classList.toggle("gl-wide", stage.isWide());
    place.replaceChildren(...stage.nodes);
    draw(model.get("epoch"));
  }

  function draw(t) {
    const cell = cells[epochs[t].cell], words = cell && (cell.score || model.get("without"));
    scrub.set(t);
    put(numbersLine, epochs[t].numbers);
    stage.draw(t, t, !cell ? "This search derives a cell only at its end." : `Cell after epoch ${t + 1}${words && `: ${words}`}`, cell ? cell.text : "");
  }

  listen(["epoch"], () => draw(model.get("epoch")));
  build();
  return stop;
});
export default { render };
