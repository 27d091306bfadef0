import {h, fill, text} from '../dom.js';
import {Stream} from '../api.js';
import {Chart, sparkline} from '../chart.js';
import {bytes, count, latency, millis, plural, rate} from '../format.js';
import {heading, liveState, loading, pill, table} from '../parts.js';

const most = 200; // points: ten minutes
const least = 40; // points that a chart shows
const keys = ['connections', 'publishes', 'deliveries', 'pending', 'ackP50', 'ackP99'];

// Past is the figures of the cluster and of each node, on one grid.
class Past {
  constructor() { this.end = 0; this.step = 3000; this.all = new Map(); }

  // take fills in what the broker remembers: all of it, or what came since this page was last connected.
  take(history) {
    const fresh = Math.round((history.end - this.end) / history.step);
    for (const id of new Set([...this.all.keys(), '', ...Object.keys(history.nodes)])) {
      const given = id === '' ? history.cluster : history.nodes[id];
      const own = this.of(id);
      for (const k of keys) {
        const list = given?.[k] ?? [];
        const n = this.end ? Math.min(fresh, most) : list.length;
        const tail = Array.from({length: n}, (_, i) => list[list.length - n + i] ?? null);
        own[k] = [...own[k], ...tail].slice(-most);
      }
    }
    this.end = history.end;
    this.step = history.step;
  }

  add(stats) {
    const now = Date.now();
    const values = new Map([['', {connections: stats.totalConnections, publishes: stats.publishesPerSecond, deliveries: stats.deliveriesPerSecond,
      pending: stats.pending, ackP50: stats.ackP50Ms, ackP99: stats.ackP99Ms}]]);
    for (const n of stats.nodes) {
      values.set(n.id, {connections: n.connections, publishes: n.publishesPerSecond, deliveries: n.deliveriesPerSecond, pending: n.pending, ackP50: n.ackP50Ms, ackP99: n.ackP99Ms});
    }
    for (const id of new Set([...this.all.keys(), ...values.keys()])) {
      const own = this.of(id);
      for (const k of keys) own[k] = [...own[k], values.get(id)?.[k] ?? null].slice(-most);
    }
    this.end = now;
  }

  of(id) {
    if (!this.all.has(id)) {
      const length = this.all.get('')?.connections.length ?? 0; // it was not there before
      this.all.set(id, Object.fromEntries(keys.map((k) => [k, Array(length).fill(null)])));
    }
    return this.all.get(id);
  }
}

export function overview(main) {
  const live = liveState();
  const past = new Past();
  const state = h('span', {class: 'state'});
  const trouble = h('div', {role: 'status'});
  const scope = h('select', {id: 'scope', onchange: () => draw()}, h('option', {value: ''}, 'The whole cluster'));
  const charts = [
    new Chart({title: 'Connections', format: count, series: [{key: 'connections', label: 'Open', tone: 'a'}]}),
    new Chart({title: 'Throughput', note: 'a second', format: rate, series: [{key: 'deliveries', label: 'Deliveries', tone: 'b'}, {key: 'publishes', label: 'Publishes', tone: 'a'}]}),
    new Chart({title: 'Pending', note: 'sent and not acked yet', format: count, series: [{key: 'pending', label: 'Messages', tone: 'c'}]}),
    new Chart({title: 'Publish to ack', note: 'slowest node', format: latency, series: [{key: 'ackP99', label: 'p99', tone: 'd'}, {key: 'ackP50', label: 'p50', tone: 'a'}]}),
  ];
  const tiles = {};
  const makeTile = (key, label) => {
    tiles[key] = {value: h('dd', {class: 'num'}, '–'), note: h('dd', {class: 'note'}, '\u00a0')};
    return h('div', {class: 'tile', 'data-tile': key}, h('dt', {}, label), tiles[key].value, tiles[key].note);
  };
  const set = (key, value, note = '\u00a0') => { text(tiles[key].value, value); text(tiles[key].note, note); };
  const byNode = h('section', {'aria-label': 'Figures by node'}, loading());

  const draw = () => {
    const own = past.of(scope.value);
    // A young cluster's few minutes fill the chart, not its last corner.
    const values = Object.fromEntries(keys.map((k) => [k, own[k].slice(-shortly(past))]));
    for (const c of charts) c.update({end: past.end, step: past.step, values});
  };

  const show = (s) => {
    past.add(s);
    set('connections', count(s.totalConnections), plural(s.activeSessions, 'session'));
    set('publishes', rate(s.publishesPerSecond), `through ${plural(s.nodes.length, 'node')}`);
    set('deliveries', rate(s.deliveriesPerSecond), s.deliveryP99Ms ? `within ${millis(s.deliveryP99Ms)} (p99)` : '\u00a0');
    set('pending', count(s.pending), `${bytes(s.outboxBytes)} queued`);
    set('ack', latency(s.ackP99Ms), s.ackP99Ms ? `p99; p50 is ${millis(s.ackP50Ms)}` : 'nothing published');
    set('stored', count(s.storedMessages), `${bytes(s.storedBytes)} in the store`);
    const ids = s.nodes.map((n) => n.id);
    const options = [...scope.options].slice(1).map((o) => o.value);
    if (ids.join() !== options.join()) {
      const chosen = scope.value;
      fill(scope, h('option', {value: ''}, 'The whole cluster'), ids.map((id) => h('option', {value: id}, id)));
      scope.value = ids.includes(chosen) ? chosen : '';
    }
    fillState(state, s);
    fillTrouble(trouble, s);
    fill(byNode, table('Nodes', [{name: 'Node'}, {name: 'Connections', num: true}, {name: 'Publishes/s', num: true}, {name: 'Deliveries/s', num: true}, {name: 'Pending', num: true}, {name: 'Ack p99', num: true}, {name: 'Deliveries', class: 'trend'}],
      s.nodes.map((n) => [h('a', {href: '#/nodes', class: 'strong'}, h('i', {class: `dot ${n.ready ? 'good' : 'bad'}`, 'aria-label': n.ready ? 'ready' : 'not ready', role: 'img'}), n.id),
        count(n.connections), rate(n.publishesPerSecond), rate(n.deliveriesPerSecond), count(n.pending), latency(n.ackP99Ms), sparkline(past.of(n.id).deliveries.slice(-shortly(past)), 'b')])));
    draw();
  };

  fill(main, heading('Overview', state, live.el),
    trouble,
    h('dl', {class: 'tiles'}, makeTile('connections', 'Connections'), makeTile('publishes', 'Publishes / s'), makeTile('deliveries', 'Deliveries / s'),
      makeTile('pending', 'Pending'), makeTile('ack', 'Publish to ack'), makeTile('stored', 'Stored messages')),
    h('div', {class: 'toolbar'}, h('label', {for: 'scope', class: 'quietlabel'}, 'Charts of'), scope),
    h('div', {class: 'charts'}, charts.map((c) => c.el)),
    h('h2', {class: 'section'}, 'By node'), byNode);

  const stream = new Stream({view: 'overview'}, {
    history: (data) => { past.take(data); draw(); },
    stats: (data) => show(data),
  }, live.set);
  return () => { stream.close(); for (const c of charts) c.close(); };
}

// shortly is how many points there are to show of the cluster: those since its first, and no fewer than least.
function shortly(past) {
  const {connections} = past.of('');
  const known = connections.findIndex((v) => v !== null);
  return Math.max(least, connections.length - Math.max(0, known));
}

function fillState(el, s) {
  const n = s.nodes.length;
  const degraded = s.nodes.some((x) => x.degraded.length);
  const [label, tone] = s.readyNodes < n ? [`${s.readyNodes} of ${plural(n, 'node')} ready`, 'bad']
    : degraded ? ['Degraded', 'warn'] : [n === 1 ? 'The node is ready' : `${n} nodes ready`, 'good'];
  if (el.textContent !== label) fill(el, pill(label, tone));
}

// What each word of a node's state says to whoever reads it first.
export const words = {
  draining: 'is draining: its clients move to other nodes',
  disk_full: 'has a full disk: publishes are refused until there is room',
  backplane: 'does not hear Redis',
  store: 'does not reach the store: publishes are not acked',
};

function fillTrouble(el, s) {
  const lines = s.nodes.flatMap((n) => [
    ...n.faults.map((f) => ['bad', n.id, words[f] ?? f]),
    ...n.degraded.map((d) => ['warn', n.id, d === 'backplane' ? 'does not reach Redis: messages between nodes come a second late' : words[d] ?? d]),
  ]);
  const key = JSON.stringify(lines);
  if (el.dataset.shown === key) return;
  el.dataset.shown = key;
  fill(el, lines.map(([tone, id, what]) => h('p', {class: `banner ${tone}`}, h('b', {}, id), ` ${what}.`)));
}

