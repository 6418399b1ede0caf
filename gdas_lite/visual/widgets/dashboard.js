// The dashboard of a run in the background. Buttons send a message, Python answers with another status; the browser
// never sets a trait, so nothing here can come between what the run's thread writes.
const SAY_EVERY_MS = 10000;         // to a screen reader, while the state stays the same
const WAIT_MS = 700;                // for the kernel's answer, before the page says that it waits

const render = widget("dashboard", (model, { root, guard, listen }) => {
  const isLive = typeof model.send === "function";
  let about, curves = null, stages = [], shown = 0, asked = 0, said = { state: "", at: 0 }, timer = null;

  const button = (words, attributes, f) => h("button", { type: "button", ...attributes, onclick: guard(f) }, words);
  const main = button("", { name: "main" }, () => ask(model.get("status").state === "running" ? "pause" : "start"));
  const end = button("stop", { name: "stop" }, () => ask("stop"));
  const anew = button("start anew", { name: "anew", hidden: !model.get("about").begins_anew }, () => {
    anew.disabled = true;           // until the answer: a second click would be refused in red
    ask("begin_anew");
  });
  const choice = h("select", { "aria-label": "cell", onchange: guard(() => { shown = +choice.value; place(); }) });
  const bar = h("progress", { max: 1, "aria-label": "done" });
  const where = h("span", { "data-name": "where" }), left = h("span", { class: "gl-num", "data-name": "left" });
  const numbersLine = h("p", { class: "gl-num gl-wrap", "data-name": "numbers" });
  const waits = h("span", { "data-name": "waits" });
  const aloud = h("p", { class: "gl-hidden", "aria-live": "polite" });
  const title = h("b", {}), nothing = h("p", {}), plots = h("div", {}), holder = h("div", { class: "gl-graphs" });
  root.prepend(h("div", { class: "gl-controls" }, ...(isLive ? [main, end, anew] : []), title, where, left, choice,
    waits), bar, numbersLine, aloud, nothing, plots, holder);

  function begin() {          // what stays as long as the run does; one that begins anew may be another search
    about = model.get("about");
    shown = 0;
    curves = runCurves(about.epochs);
    plots.replaceChildren(curves.node);
    put(title, about.title);
    put(nothing, `${about.kinds.length ? "Cell, alpha and losses" : "Curves"} are drawn after the first epoch.`);
    choice.hidden = about.kinds.length < 2;
    choice.replaceChildren(...about.kinds.map((kind, i) => h("option", { value: i }, `${kind} cell`)));
  }

  function ask(what) {
    asked = Math.random();          // a number that no other view of this dashboard has
    model.send({ do: what, id: asked });
    clearTimeout(timer);
    timer = setTimeout(() => {
      if (model.get("status").answered === asked) return;
      put(waits, `${what.replace("_", " ")}: no answer yet, the kernel is busy or gone`);
    }, WAIT_MS);
  }

  function drawStatus() {
    const { state, where: words, part, left: time, numbers: line, answered } = model.get("status");
    const goesOn = state === "ready" ? "start" : state === "failed" ? "try again" : "resume";
    put(main, state === "running" ? "pause" : state === "finished" ? "finished" : goesOn);
    main.disabled = state === "finished";
    end.disabled = !["running", "pausing", "paused"].includes(state);
    anew.disabled = ["ready", "running", "pausing", "stopping"].includes(state);
    put(where, words);
    put(left, time);
    put(numbersLine, line);
    if (answered === asked) put(waits, "");
    bar.value = part;
    bar.setAttribute("aria-valuetext", `${Math.round(100 * part)} %, ${words}`);
    if (state !== said.state || Date.now() - said.at > SAY_EVERY_MS) {
      said = { state, at: Date.now() };
      put(aloud, [`${about.title} ${words}`, time].filter(Boolean).join(", "));
    }
  }

  function drawPictures() {
    const parts = model.get("parts"), panels = model.get("panels");
    nothing.hidden = panels.length > 0;
    curves.set(panels);
    if (!parts.length) {
      stages = [];
      return holder.replaceChildren();
    }
    if (!stages.length) {
      stages = parts.map(prepare).map(own => ({ own, ...searchCell(own, about.epochs, guard) }));
      place();
    } else parts.forEach((each, i) => Object.assign(stages[i].own, prepare(each)));
    drawStage();
  }
  function place() {
    if (!stages.length) return;
    holder.classList.toggle("gl-wide", stages[shown].isWide());
    holder.replaceChildren(...stages[shown].nodes);
    drawStage();
  }
  function drawStage() {
    const { text, score, epoch } = model.get("cell"), stage = stages[shown];
    const words = text ? `Cell after epoch ${epoch}${score && `: ${score}`}` : NO_CELL_YET;
    stage.draw(stage.own.count - 1, 0, words, text);
  }

  listen(["about"], begin);
  listen(["status"], drawStatus);
  listen(["cell"], drawPictures);           // sent last
  begin();
  drawStatus();
  drawPictures();
  return () => clearTimeout(timer);
});
export default { render };
