// In a page of its own: the widget's traits stand in the page, nobody listens on the other side.
const bytes = text => new DataView(Uint8Array.from(atob(text), letter => letter.charCodeAt(0)).buffer);
const values = JSON.parse(document.getElementById("state").textContent,
  (_, value) => (value && value.base64 !== undefined ? bytes(value.base64) : value));
const listeners = {};
const model = {
  get: name => values[name],
  set(name, value) {
    if (values[name] === value) return;
    values[name] = value;
    (listeners[`change:${name}`] || []).forEach(listener => listener());
  },
  on: (event, listener) => (listeners[event] ||= []).push(listener),
  off: (event, listener) => { listeners[event] = (listeners[event] || []).filter(other => other !== listener); },
  save_changes() {},
};
render({ model, el: document.getElementById("widget") });
