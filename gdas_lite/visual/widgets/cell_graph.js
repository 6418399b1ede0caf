// Draws a cell from a scene that Python laid out (browser_values.py): nodes, chips (the operations on edges) and lines.
// `set(i, look)` redraws chip i and its lines: {lines: [text, text], colour, text, width, state, label}; state is "",
// "dotted" (takes no part) or "faint" (not chosen). `onpick(i)` is called when a chip is clicked or Enter is pressed.
function drawCell(scene, { onpick, name } = {}) {
  const [width, height] = scene.size;
  const svg = h("svg", { class: "gl-graph", viewBox: `0 0 ${width} ${height}`, role: "group",
    "aria-label": name || scene.title });
  svg.style.maxWidth = `${width * 1.35}px`;
  const narrowest = `${Math.ceil(width * 0.78)}px`;         // its letters, 12 px, can still be read
  svg.style.minWidth = narrowest;
  const lines = scene.lines.map(line => {
    const curve = h("path", { d: line.d, fill: "none", stroke: line.colour, "stroke-width": line.width });
    const head = line.head && h("path", { d: line.head, fill: line.colour });
    svg.append(curve, ...(head ? [head] : []));
    return { ...line, curve, head };
  });
  scene.nodes.forEach(box => svg.append(drawBox(box).group));
  const chips = scene.chips.map((box, i) => {
    const drawn = drawBox(box), own = lines.filter(line => line.chip === i);
    if (onpick) {
      setAll(drawn.group, { tabindex: 0, role: "button", class: "gl-pick", "data-lm-suppress-shortcuts": "true" });
      drawn.group.addEventListener("click", () => onpick(i));
      drawn.group.addEventListener("keydown", event => pressed(event, i));
    } else drawn.group.setAttribute("role", "img");
    svg.append(drawn.group);
    return { ...drawn, own, box };
  });
  function pressed(event, i) {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (step) chips[(i + step + chips.length) % chips.length].group.focus();
    else if (event.key === "Enter" || event.key === " ") onpick(i);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }
  function set(i, look) {
    const { group, shape, texts, title, own, box } = chips[i];
    const hollow = look.state !== "";
    setAll(shape, { fill: hollow ? "transparent" : look.colour, stroke: look.colour,
      "stroke-dasharray": look.state === "dotted" ? "1.5 2.5" : "none" });
    group.setAttribute("opacity", look.state === "faint" ? 0.55 : 1);
    write(texts, look.lines, box, hollow ? "currentColor" : look.text);
    put(title, look.label);
    group.setAttribute("aria-label", look.label);
    const opacity = look.state === "faint" ? 0.45 : 1;
    for (const { curve, head } of own) {
      setAll(curve, { stroke: look.colour, "stroke-width": look.width.toFixed(2), opacity,
        "stroke-dasharray": look.state === "dotted" ? "1.5 3" : "none" });
      if (head) setAll(head, { fill: look.colour, opacity });
    }
  }
  const mark = chosen => chips.forEach(({ group }, i) => group.classList.toggle("gl-marked", i === chosen));
  scene.chips.forEach((box, i) => set(i, { lines: box.lines, colour: box.colour, text: box.text, width: box.width,
    state: box.state, label: box.title }));
  const block = h("div", { class: "gl-scroll" }, svg);
  return { block, narrowest, set, mark, chips };
}

function drawBox(box) {
  const shape = box.role === "node"
    ? h("circle", { cx: box.x, cy: box.y, r: box.w / 2 })
    : h("rect", { x: box.x - box.w / 2, y: box.y - box.h / 2, width: box.w, height: box.h, rx: 4 });
  setAll(shape, { fill: box.state ? "transparent" : box.colour, stroke: box.colour,
    "stroke-dasharray": box.state ? "1.5 2.5" : "none" });
  const texts = [0, 1].map(() => h("text", { x: box.x, "text-anchor": "middle", "dominant-baseline": "central" }));
  const title = h("title", {}, box.title);
  const group = h("g", {}, title, shape, ...texts);
  write(texts, box.lines, box, box.state ? "currentColor" : box.text);
  return { group, shape, texts, title };
}

function write(texts, lines, box, colour) {
  texts.forEach((node, row) => {
    const [letter, index] = reads(lines[row] || "");
    if (index && node.childNodes.length !== 2)
      node.replaceChildren(letter, h("tspan", { dy: 3, "font-size": 9 }, index.replace("-", "\u2212")));
    else if (!index) put(node, letter);
    setAll(node, { y: box.y + (lines.length > 1 ? (row ? 7 : -6) : 0.5), fill: colour });
  });
}

// Nodes of a NAS-Bench-201 cell on a path from input to output; edges: [[src, dst], ...], names: an operation each.
function onPath(edges, names) {
  const there = new Set([0]), back = new Set([3]);
  edges.forEach(([src, dst], e) => { if (names[e] !== "none" && there.has(src)) there.add(dst); });
  [...edges.keys()].sort((a, b) => edges[b][0] - edges[a][0])
    .forEach(e => { if (names[e] !== "none" && back.has(edges[e][1])) back.add(edges[e][0]); });
  return there.has(3) ? new Set([...there].filter(node => back.has(node))) : new Set();
}

const archText = (edges, names) => [1, 2, 3].map(node =>
  `|${edges.flatMap(([src, dst], e) => (dst === node ? [`${names[e]}~${src}`] : [])).join("|")}|`).join("+");
