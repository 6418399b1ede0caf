// What all widgets share: making elements, sliders, and showing errors. Plain JavaScript, no dependency, no build step.
const SVG = "http://www.w3.org/2000/svg";
const SVG_NAMES = new Set(["svg", "g", "path", "rect", "circle", "text", "tspan", "title", "line"]);

// h("p", {class: "x", onclick: f}, "text", child): an element; SVG names give SVG elements.
function h(name, attributes = {}, ...children) {
  const node = SVG_NAMES.has(name) ? document.createElementNS(SVG, name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes))
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (value === true) node.setAttribute(key, "");
    else if (value !== false && value != null) node.setAttribute(key, value);
  // JupyterLab's shortcuts would swallow the keys of our controls; the attribute must stand on each of them.
  if (["input", "button", "select"].includes(name) || attributes.tabindex != null)
    node.setAttribute("data-lm-suppress-shortcuts", "true");
  node.append(...children);
  return node;
}

function put(node, text) {
  const only = node.childNodes.length === 1 && node.firstChild.nodeType === 3 ? node.firstChild : null;
  if (only && text) { if (only.data !== text) only.data = text; }         // cheaper than a new text node
  else if (node.textContent !== text) node.textContent = text;
}

function setAll(node, attributes) {
  for (const [key, value] of Object.entries(attributes))
    if (node.getAttribute(key) !== String(value)) node.setAttribute(key, value);    // what did not change costs nothing
}

// A widget's `render`: build(model, {root, guard, listen}) fills `root` and may return what to do at last. `guard(f)`
// is f with its errors shown in the widget, never swallowed; `listen` calls f whenever one of the traits changes.
function widget(label, build) {
  return ({ model, el }) => {
    const alarm = h("p", { class: "gl-error", role: "alert", hidden: true });
    const root = h("section", { class: "gl-widget", "aria-label": label }, alarm);
    const heard = [];
    let own = "", failures = 0;
    const show = () => {
      const text = [own, model.get("error")].filter(Boolean).join("\n");
      put(alarm, text);
      alarm.hidden = !text;
    };
    const guard = f => (...given) => {
      const before = failures;
      try {
        const result = f(...given);
        if (own && failures === before) { own = ""; show(); }
        return result;
      } catch (error) {
        failures++;
        own = `${error.name}: ${error.message}`;
        show();
        console.error(error);
      }
    };
    const listen = (names, f) => {
      for (const name of names) {
        const listener = guard(f);
        heard.push([`change:${name}`, listener]);
        model.on(`change:${name}`, listener);
      }
    };
    listen(["error"], show);
    show();
    el.append(root);
    const finish = guard(build)(model, { root, guard, listen });
    return () => {
      heard.forEach(([event, listener]) => model.off(event, listener));
      if (finish) finish();
    };
  };
}

// A labelled slider with its reading; `read(value)` is the text beside it and what a screen reader says, of the value
// that was set, also where that lies beyond the slider's ends or between its steps.
function slider(label, { min, max, step, value, read, oninput, name, swatch }) {
  const input = h("input", { type: "range", min, max, step, name,
    oninput: () => { show(+input.value); oninput(+input.value); } });
  const output = h("output", {});
  const look = swatch ? { class: "gl-chip", style: `background:${swatch.colour};color:${swatch.text}` } : {};
  const node = h("label", { class: "gl-slider" }, h("span", look, label), input, output);
  const show = at => { put(output, read(at)); input.setAttribute("aria-valuetext", read(at)); };
  const set = next => { input.value = next; show(next); };
  set(value);
  return { node, input, set };
}

// How a line of a plot looks, with its name.
const lineKey = (label, stroke, dashes, ...more) => h("span", { class: "gl-key" },
  h("svg", { width: 22, height: 8, "aria-hidden": "true" },
    h("line", { x1: 0, x2: 22, y1: 4, y2: 4, stroke, "stroke-width": 2, "stroke-dasharray": dashes })),
  ` ${label} `, ...more);

const fixed = (value, digits = 3) => value.toFixed(digits).replace("-", "\u2212");
const grouped = value => Math.round(value).toLocaleString("en-US");

function softmax(logits, tau = 1) {
  const top = Math.max(...logits), exps = logits.map(x => Math.exp((x - top) / tau));
  const sum = exps.reduce((a, b) => a + b, 0);
  return exps.map(x => x / sum);
}

// A synced array of numbers arrives as DataView (Jupyter, pages); typed: Uint16Array, Float32Array ...
function numbers(view, typed) {
  return new typed(view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength));
}

const reads = text => (text.match(/^(\w)_\{(.*)\}$/) || [null, text, ""]).slice(1);     // "c_{k-2}": letter and index
