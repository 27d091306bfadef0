import {h, fill} from '../dom.js';
import {admin, Stream} from '../api.js';
import {precise} from '../format.js';
import {heading, liveState} from '../parts.js';

const most = 1000; // lines
const shownApart = new Set(['time', 'level', 'msg', 'node']);

export function log(main) {
  const live = liveState();
  let stream, lines = [], paused = false, held = [], ended = false;
  const node = h('select', {id: 'node', onchange: () => open()}, h('option', {value: ''}, 'All nodes'));
  const level = h('select', {id: 'level', onchange: () => open()}, [['', 'All levels'], ['info', 'Info and above'], ['warn', 'Warnings and errors'], ['error', 'Errors']].map(([value, label]) => h('option', {value}, label)));
  const words = h('input', {id: 'words', type: 'search', placeholder: 'Filter', 'aria-label': 'Show lines that hold a text', autocomplete: 'off', spellcheck: 'false', oninput: () => draw()});
  const pause = h('button', {'aria-pressed': 'false', onclick: () => {
    paused = !paused;
    pause.setAttribute('aria-pressed', String(paused));
    if (!paused) { take(held); held = []; }
    tell();
  }}, 'Pause');
  const tell = () => { pause.textContent = paused ? (held.length ? `Resume (${held.length} new)` : 'Resume') : 'Pause'; };
  const box = h('ol', {class: 'lines', tabindex: '0', 'aria-label': 'Log lines, the newest last', role: 'log', 'aria-live': 'off'});

  const row = (l) => h('li', {class: `level-${l.level.toLowerCase()}`},
    h('time', {class: 'num'}, l.at), h('span', {class: 'level'}, l.level), h('span', {class: 'on', title: l.node}, l.node),
    h('span', {class: 'said'}, h('b', {}, l.msg), l.rest.map(([k, v]) => [' ', h('span', {class: 'attr'}, h('i', {}, k), v)])));

  const draw = () => {
    const wanted = words.value.trim().toLowerCase();
    const list = wanted ? lines.filter((l) => l.whole.includes(wanted)) : lines;
    fill(box, list.length ? list.map(row) : h('li', {class: 'none'}, lines.length ? 'No line holds this text.' : 'Nothing was logged yet at this level.'));
    box.scrollTop = box.scrollHeight;
  };

  const take = (rows) => {
    const atEnd = box.scrollTop + box.clientHeight >= box.scrollHeight - 40;
    const fresh = rows.map(parse).sort((a, b) => a.ms - b.ms); // each node's stand in order, one node's after another's
    const had = lines.length;
    lines = [...lines, ...fresh].slice(-most);
    const wanted = words.value.trim();
    if (!had || wanted || lines.length < had + fresh.length) { draw(); return; }
    box.append(...fresh.map(row));
    if (atEnd) box.scrollTop = box.scrollHeight;
  };

  const open = () => {
    stream?.close();
    lines = []; held = [];
    fill(box, h('li', {class: 'none'}, 'Waiting for lines…'));
    stream = new Stream({view: 'log', node: node.value, level: level.value}, {rows: (rows) => {
      if (paused) { held = [...held, ...rows].slice(-most); tell(); } else if (rows.length || !lines.length) { take(rows); }
    }}, live.set);
  };

  fill(main, heading('Log', live.el),
    h('div', {class: 'toolbar'}, h('label', {for: 'node', class: 'hidden'}, 'Node'), node, h('label', {for: 'level', class: 'hidden'}, 'Level'), level, words, pause),
    box, h('p', {class: 'note'}, 'The newest thousand lines of each node, as they stand in its log. No message’s data, key or password is ever in it.'));
  open();
  admin('GET', '/stats').then((s) => { if (!ended) for (const n of s.nodes) node.append(h('option', {value: n.id}, n.id)); }, () => {});
  return () => { ended = true; stream?.close(); };
}

function parse({node, row}) {
  const rest = Object.entries(row).filter(([k]) => !shownApart.has(k)).filter(([, v]) => v !== '').map(([k, v]) => [k, typeof v === 'string' ? v : JSON.stringify(v)]);
  const ms = Date.parse(row.time);
  return {node, ms, at: precise(ms), level: String(row.level ?? 'INFO'), msg: String(row.msg ?? ''), rest,
    whole: `${row.msg} ${node} ${rest.map((r) => r.join(' ')).join(' ')}`.toLowerCase()};
}
