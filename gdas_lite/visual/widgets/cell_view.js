// A cell of any space. Focus an edge, or point at it, to read what runs there.
const render = widget("cell graph", (model, { root, guard, listen }) => {
  const reading = h("p", { class: "gl-reading", "aria-live": "polite" }, "Point at an edge, or Tab to it and use the arrow keys.");
  const place = h("div", { class: "gl-graphs" });
  root.prepend(place, reading);
  const draw = () => {
    const scenes = model.get("scenes"), isPair = scenes.length > 1;
    place.classList.toggle("gl-wide", isPair);          // one below the other, in the same scale
    place.replaceChildren(...scenes.map(scene => {
      const graph = drawCell(scene, { onpick: i => tell(graph, i) });
      graph.chips.forEach(({ group }, i) => {
        group.addEventListener("focus", () => tell(graph, i));
        group.addEventListener("pointerenter", () => tell(graph, i));
      });
      return isPair ? h("figure", {}, h("figcaption", {}, scene.title), graph.svg) : graph.svg;
    }));
  };
  const tell = (graph, i) => put(reading, graph.chips[i].title.textContent);
  listen(["scenes"], draw);
  draw();
});
export default { render };
