// What is wrong with how a widget's page looks, a sentence each: cut off, overlapping, too small, unnamed, too pale.
smallest => {
  const faults = [], all = selector => [...document.querySelectorAll(`.gl-widget :is(${selector})`)];
  const style = node => getComputedStyle(node);
  const told = node => `${node.tagName} "${(node.textContent || "").slice(0, 30)}"`;
  // What is to be seen of a node: scrolled out of its box it is not there.
  const box = node => {
    let { left, right, top, bottom } = node.getBoundingClientRect();
    for (let up = node.parentElement; up; up = up.parentElement)
      if (up.matches(".gl-scroll, .gl-list")) {
        const frame = up.getBoundingClientRect();
        left = Math.max(left, frame.left);
        right = Math.min(right, frame.right);
        top = Math.max(top, frame.top);
        bottom = Math.min(bottom, frame.bottom);
      }
    return { left, right, top, bottom };
  };
  const seen = node => {
    const { left, right, top, bottom } = box(node);
    return right - left > 0 && bottom - top > 0 && !node.closest(".gl-hidden") && style(node).visibility !== "hidden";
  };
  const meet = (a, b) => Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1 &&
    Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 1;
  const pairs = (nodes, f) => nodes.forEach((one, i) => nodes.slice(i + 1).forEach(other => f(one, other)));

  if (document.documentElement.scrollWidth > innerWidth) faults.push("the page is wider than the window");
  const holders = all("button, select, th, td, caption, p, h3, figcaption, label, .gl-chip, .gl-scroll");
  for (const node of holders.filter(seen)) {
    const isCut = node.scrollWidth > node.clientWidth + 1 && style(node).display !== "inline";
    if (isCut) faults.push(`cut off: ${told(node)}`);
  }

  for (const svg of all("svg").filter(seen)) {
    const frame = box(svg), scale = svg.getScreenCTM().a;
    const texts = [...svg.querySelectorAll("text")].filter(text => text.textContent && seen(text));
    for (const text of texts) {
      const own = box(text), size = parseFloat(style(text).fontSize) * scale;
      const chip = text.parentNode.querySelector("rect"), around = chip && box(chip);
      if (size < smallest) faults.push(`letters of ${size.toFixed(1)} px: ${told(text)}`);
      if (own.left < frame.left - 1 || own.right > frame.right + 1 ||
          own.top < frame.top - 1 || own.bottom > frame.bottom + 1)
        faults.push(`outside of its picture: ${told(text)}`);
      if (chip && (own.left < around.left || own.right > around.right))
        faults.push(`wider than its chip: ${told(text)}`);
    }
    pairs(texts, (one, other) => {
      const isOneLabel = one.parentNode === other.parentNode && one.parentNode.matches("g:has(> rect, > circle)");
      if (!isOneLabel && meet(box(one), box(other))) faults.push(`${told(one)} overlaps ${told(other)}`);
    });
  }
  const blocks = all("button, select, input, output, th, td, caption, p, h3, svg, .gl-chip").filter(seen);
  pairs(blocks, (one, other) => {
    if (!one.contains(other) && !other.contains(one) && meet(box(one), box(other)))
      faults.push(`${told(one)} overlaps ${told(other)}`);
  });

  for (const control of all("button, select, input").filter(seen)) {
    const label = [...control.labels].map(each => each.textContent).join("") || control.getAttribute("aria-label");
    if (!label && !(control.tagName === "BUTTON" && control.textContent))
      faults.push(`without a name: ${told(control)}`);
    if (control.tabIndex < 0) faults.push(`no keyboard reaches ${told(control)}`);
  }

  const light = colour => {         // relative luminance, WCAG 2
    const linear = colour.match(/[\d.]+/g).map(part => part / 255)
      .map(c => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2] + 0.05;
  };
  for (const node of all("p, td, th, caption, button, select, .gl-chip, .gl-plot text").filter(seen)) {
    if (!node.textContent || node.disabled) continue;
    const own = node.closest(".gl-chip"), ground = light(style(own || document.body).backgroundColor);
    const ink = light(node.tagName === "text" ? style(node).fill : style(node).color);
    const contrast = Math.max(ink, ground) / Math.min(ink, ground);
    if (contrast < 4.5) faults.push(`contrast of ${contrast.toFixed(1)}: ${told(node)}`);
  }
  return [...new Set(faults)];
}
