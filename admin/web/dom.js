// Elements without a framework: h('button', {class: 'primary', onclick: save}, 'Save').
//
// Text goes in as text alone, never as markup, and styles by class: the page's policy allows nothing else.

const svgTags = new Set(['svg', 'path', 'circle', 'line', 'rect', 'g', 'polyline', 'text']);

export function h(tag, props, ...children) {
  const el = svgTags.has(tag) ? document.createElementNS('http://www.w3.org/2000/svg', tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(props ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith('on')) el.addEventListener(name.slice(2), value);
    else if (name === 'value') el.value = value;
    else el.setAttribute(name, value === true ? '' : value);
  }
  add(el, children);
  return el;
}

// add appends children: elements, texts, lists of them, and nothing for null and false.
export function add(el, ...children) {
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue;
    el.append(child instanceof Node ? child : String(child));
  }
  return el;
}

// fill replaces what is in an element.
export function fill(el, ...children) {
  el.replaceChildren();
  return add(el, ...children);
}

// text sets an element's text where it has changed, so that a screen reader is not told the same again.
export function text(el, value) {
  const s = String(value);
  if (el.textContent !== s) el.textContent = s;
}

const paths = {
  overview: 'M3 12l4-4 4 4 6-7M3 17h14',
  nodes: 'M4 4h12v4H4zM4 12h12v4H4zM7 6h.01M7 14h.01',
  sessions: 'M3 6a2 2 0 0 1 2-2h10a2 2 0 0 1 2 2v6a2 2 0 0 1-2 2H9l-4 3v-3a2 2 0 0 1-2-2z',
  trace: 'M5 4a2 2 0 1 0 0 .01M15 16a2 2 0 1 0 0 .01M7 4h5a3 3 0 0 1 0 6H8a3 3 0 0 0 0 6h5',
  log: 'M4 5h12M4 10h12M4 15h7',
  audit: 'M6 3h8a1 1 0 0 1 1 1v13H5V4a1 1 0 0 1 1-1zM8 8h4M8 12h4',
  playground: 'M3 5h6v10H3zM11 5h6v10h-6z',
  theme: 'M10 3a7 7 0 1 0 7 7 5 5 0 0 1-7-7z',
  logout: 'M8 4H5a1 1 0 0 0-1 1v10a1 1 0 0 0 1 1h3M12 7l3 3-3 3M15 10H8',
  menu: 'M3 6h14M3 10h14M3 14h14',
  plus: 'M10 4v12M4 10h12',
  search: 'M9 4a5 5 0 1 0 0 10A5 5 0 0 0 9 4zM13 13l4 4',
  copy: 'M7 7h9v9H7zM4 13V4h9',
  back: 'M12 5l-5 5 5 5',
  warn: 'M10 3l8 14H2zM10 8v4M10 14.5v.01',
  check: 'M4 10l4 4 8-8',
  empty: 'M3 11l2-6h10l2 6v4a1 1 0 0 1-1 1H4a1 1 0 0 1-1-1zM3 11h4l1 2h4l1-2h4',
};

export function icon(name) {
  return h('svg', {class: 'icon', viewBox: '0 0 20 20', 'aria-hidden': 'true', focusable: 'false'}, h('path', {d: paths[name]}));
}

let serial = 0;
export const uid = (prefix) => `${prefix}-${++serial}`;

// toast says something for a few seconds, to eyes and to screen readers.
export function toast(message, kind = 'ok') {
  const el = h('div', {class: `toast ${kind}`}, icon(kind === 'ok' ? 'check' : 'warn'), h('span', {}, message));
  document.getElementById('toasts').append(el);
  setTimeout(() => el.remove(), 5000);
}

export async function copy(value, what) {
  try {
    await navigator.clipboard.writeText(value);
    toast(`${what} copied`);
  } catch {
    toast(`This browser does not let a page copy: select the ${what.toLowerCase()} and copy it by hand`, 'bad');
  }
}
