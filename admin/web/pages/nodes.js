import {h, fill, toast} from '../dom.js';
import {admin, Stream} from '../api.js';
import {confirm} from '../dialog.js';
import {bytes, count, latency, plural, rate, span} from '../format.js';
import {heading, liveState, loading, pill} from '../parts.js';
import {words} from './overview.js';

export function nodes(main) {
  const live = liveState();
  const list = h('div', {class: 'cards'}, loading());
  const note = h('div', {});
  let busy = false;

  const drain = async (n, all) => {
    const last = all.length === 1;
    busy = true;
    const done = await confirm({
      title: `Drain ${n.id}?`, danger: true, action: 'Drain', type: last ? n.id : undefined,
      body: last
        ? [`This is the only node. ${plural(n.connections, 'connection')} will be closed, and nobody can connect until it is started again.`,
          'Its process ends. Whatever supervises it may start it anew at once.']
        : [n.connections ? `Its ${plural(n.connections, 'connection')} move to the other nodes one by one, and nothing is lost. Then its process ends.` : 'It has no connections. Its process ends.',
          'Whatever supervises it (Kubernetes, systemd, Docker) may start it anew: to take it away for good, scale down as well.'],
      act: () => admin('POST', `/nodes/${encodeURIComponent(n.id)}/drain`, {}),
    });
    busy = false;
    if (done) toast(`${n.id} is draining`);
  };

  const show = (s) => {
    if (busy || list.contains(document.activeElement) && document.activeElement.matches('button:active')) return;
    const focused = document.activeElement?.dataset?.drain;
    const versions = new Set(s.nodes.map((n) => n.version));
    fill(note, versions.size > 1 && h('p', {class: 'banner warn'}, `Nodes run ${versions.size} versions: fine during an update, and no longer than that.`));
    fill(list, s.nodes.map((n) => card(n, s.nodes, drain)));
    if (focused) list.querySelector(`[data-drain="${CSS.escape(focused)}"]`)?.focus();
  };

  fill(main, heading('Nodes', live.el), note, list);
  const stream = new Stream({view: 'overview'}, {stats: show}, live.set);
  return () => stream.close();
}

function card(n, all, drain) {
  const draining = n.faults.includes('draining');
  const state = draining ? pill('Draining', 'warn') : !n.ready ? pill('Not ready', 'bad') : n.degraded.length ? pill('Degraded', 'warn') : pill('Ready', 'good');
  const fact = (label, value) => h('div', {}, h('dt', {}, label), h('dd', {class: 'num'}, value));
  return h('article', {class: 'card node', 'aria-label': n.id},
    h('header', {}, h('div', {}, h('h2', {}, n.id), h('p', {class: 'note'}, `${n.version || 'unknown version'}, up ${span(n.uptime)}`)), state),
    [...n.faults, ...n.degraded].map((f) => h('p', {class: 'reason'}, `It ${words[f] ?? f}.`)),
    h('dl', {class: 'facts'},
      fact('Connections', count(n.connections)), fact('Publishes/s', rate(n.publishesPerSecond)), fact('Deliveries/s', rate(n.deliveriesPerSecond)),
      fact('Pending', count(n.pending)), fact('Ack p50', latency(n.ackP50Ms)), fact('Ack p99', latency(n.ackP99Ms)),
      fact('Processors', n.cpu ? n.cpu.toFixed(2) : '–'), fact('Queued', bytes(n.outboxBytes)), fact('Heap', bytes(n.heapUsed))),
    h('footer', {}, h('span', {class: 'note'}, n.address ? `data plane ${n.address}` : 'no data plane'),
      h('button', {class: 'danger outline', 'data-drain': n.id, disabled: draining, onclick: () => drain(n, all)}, 'Drain', h('span', {class: 'hidden'}, ` ${n.id}`))));
}
