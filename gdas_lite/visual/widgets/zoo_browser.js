// The published cells: a list that can be filtered, and what is known of the one chosen. Everything was sent once.
const render = widget("zoo browser", (model, { root, guard, listen }) => {
  const cells = model.get("cells"), spaces = model.get("spaces");
  const choose = guard(name => { model.set("name", name); model.save_changes(); draw(); });
  const inSpace = space => cells.filter(cell => cell.space === space).length;
  let kind = 0;           // of the cells of a genotype, the one drawn

  const space = h("select", { "aria-label": "space", name: "space", onchange: guard(() => fill()) },
    h("option", { value: "" }, `all spaces (${cells.length})`),
    ...spaces.map(each => h("option", { value: each }, `${each} (${inSpace(each)})`)));
  const words = h("input", { type: "search", name: "filter", placeholder: "filter: name, method, paper",
    "aria-label": "filter", oninput: guard(() => fill()) });
  const list = h("select", { size: 14, "aria-label": "published cells", name: "cells", class: "gl-list",
    onchange: guard(() => choose(list.value)) });
  const count = h("p", { "aria-live": "polite", "data-name": "count" });
  const detail = h("div", { class: "gl-detail" });
  root.prepend(h("div", { class: "gl-zoo" }, h("div", { class: "gl-choice" }, space, words, list, count), detail));

  // Fills the list with what the filter lets through; a cell that is not in it is not shown either.
  function fill() {
    const wanted = words.value.toLowerCase().split(/\s+/).filter(Boolean), chosen = model.get("name");
    const found = cells.filter(cell => (!space.value || cell.space === space.value) && wanted.every(word =>
      [cell.name, ...cell.aliases, cell.note, cell.paper, cell.space].join(" ").toLowerCase().includes(word)));
    const groups = spaces.map(each => [each, found.filter(cell => cell.space === each)])
      .filter(([, own]) => own.length);
    list.replaceChildren(...groups.map(([each, own]) => h("optgroup", { label: each },
      ...own.map(cell => h("option", { value: cell.name }, cell.name)))));
    list.value = chosen;
    put(count, found.length === cells.length ? `${cells.length} cells` : `${found.length} of ${cells.length} cells`);
    if (found.length && !found.some(cell => cell.name === chosen)) choose(groups[0][1][0].name);
  }

  function draw() {
    const cell = cells.find(({ name }) => name === model.get("name"));
    if (!cell) throw new RangeError(`no published cell is called ${model.get("name")}`);
    if (list.value !== cell.name) list.value = cell.name;
    if (list.value !== cell.name) {         // Python chose one that the filter hides
      words.value = space.value = "";
      fill();
    }
    const fact = (label, ...values) => h("tr", {}, h("th", { scope: "row" }, label), h("td", {}, ...values));
    const named = (name, text, kind) => h("span", { "data-name": name, class: kind }, text);
    const facts = [fact("parameters", named("parameters", grouped(cell.parameters)), ` (${cell.size})`),
      ...(cell.multiply_adds == null ? []
        : [fact("multiply-adds", named("adds", grouped(cell.multiply_adds)), " an image")]),
      ...(cell.score ? [fact("table", named("score", cell.score))] : []),
      ...(cell.aliases.length ? [fact("also called", cell.aliases.join(", "))] : []),
      fact("paper", cell.paper)];
    const sources = cell.source.flatMap((each, i) => (i ? [h("br"), each] : [each]));
    const text = [fact("text", named("text", cell.text, "gl-arch")), fact("text read in", ...sources)];
    const table = rows => h("table", { class: "gl-facts" }, h("tbody", {}, ...rows));
    const known = h("div", { class: "gl-scroll gl-short", tabindex: 0, role: "region", "aria-label": "what is known" },
      table(facts), results(cell), table(text));
    detail.replaceChildren(h("h3", { "data-name": "name" }, cell.name, h("small", {}, ` ${cell.space}`)),
      h("p", {}, cell.note), ...drawing(cell), known);
  }

  // The cell's graph, of two cells the one chosen; below, what the edge in focus or under the pointer is.
  function drawing(cell) {
    const reading = h("p", { class: "gl-reading", "aria-live": "polite" },
      "Point at an edge, or Tab to it and use the arrow keys.");
    const tabs = cell.scenes.map((scene, i) =>
      h("button", { type: "button", onclick: guard(() => { kind = i; show(); }) }, scene.title));
    const holder = h("div", {});
    function show() {
      const shown = Math.min(kind, cell.scenes.length - 1), graph = drawCell(cell.scenes[shown], { onpick: tell });
      function tell(i) { put(reading, graph.chips[i].title.textContent); }
      graph.chips.forEach(({ group }, i) => {
        group.addEventListener("focus", () => tell(i));
        group.addEventListener("pointerenter", () => tell(i));
      });
      tabs.forEach((tab, i) => tab.setAttribute("aria-pressed", i === shown));
      holder.replaceChildren(graph.block);
    }
    show();
    return [...(tabs.length > 1 ? [h("div", { class: "gl-controls" }, ...tabs)] : []), holder, reading];
  }

  function results(cell) {
    if (!cell.results.length) return h("p", {}, "No results are published under this cell's name.");
    const whose = cell.is_of_method ? "Published for the method that found it, not for this cell" : "Published results";
    const heads = ["data", "what", "value", "setting", "source"].map(text => h("th", { scope: "col" }, text));
    return h("div", { class: "gl-results" }, h("table", {},
      h("caption", {}, whose), h("thead", {}, h("tr", {}, ...heads)),
      h("tbody", {}, ...cell.results.map(({ data, metric, value, setting, source }) => h("tr", {}, h("td", {}, data),
        h("td", {}, metric), h("td", { class: "gl-num" }, value), h("td", {}, setting), h("td", {}, source))))));
  }

  listen(["name"], draw);
  fill();
  draw();
});
export default { render };
