import {h, fill, toast, uid} from '../dom.js';
import {admin, query, Stream} from '../api.js';
import {bytes, count, date, plural, precise, span} from '../format.js';
import {empty, field, heading, liveState, loading, pill, table} from '../parts.js';

const names = {
  published: 'Published', refused: 'Refused', stored: 'Stored', repeat: 'Known already', not_stored: 'Not stored', answered: 'Publisher told',
  arrived: 'Arrived', late: 'Arrived too late', duplicate: 'Arrived once more', sent: 'Sent', replayed: 'Sent from the store', resent: 'Sent again',
  dropped: 'Dropped', acked: 'Acked', given_up: 'Given up', expired: 'Expired', pushed: 'Pushed',
};
const tones = {refused: 'bad', given_up: 'bad', expired: 'bad', dropped: 'warn', late: 'warn', resent: 'warn', repeat: 'warn', duplicate: 'warn', acked: 'good', stored: 'good', answered: 'good'};

// said is what a step adds to its name.
function said(e) {
  const who = e.who ? (e.who.startsWith('c:') ? `client ${e.who.slice(2)}` : `user ${e.who.slice(2)}`) : '';
  switch (e.step) {
    case 'published': return `by ${who || (e.conn ? 'an anonymous connection' : 'a back end')}`;
    case 'stored': case 'repeat': return `as number ${e.seq} of its topic`;
    case 'not_stored': return 'no durable subscriber is owed it';
    case 'answered': return 'ack_received';
    case 'refused': return e.code;
    case 'arrived': return 'the live copy, by the backplane';
    case 'late': return 'subscribers get it from the store';
    case 'pushed': return `${plural(e.count ?? 0, 'device')}: ${e.code}`;
    case 'resent': return `to ${who || 'a connection'}, try ${e.try}`;
    case 'acked': return `by ${who || 'a connection'}`;
    default: return who ? `to ${who}` : e.conn ? 'to an anonymous connection' : '';
  }
}

export function trace(main, {search}) {
  const live = liveState();
  live.el.hidden = true;
  const input = (props) => h('input', {id: uid('in'), autocomplete: 'off', spellcheck: 'false', autocapitalize: 'off', ...props});
  const session = input({required: true, value: search.get('session') ?? '', placeholder: 'acme-chat'});
  const messageId = input({maxlength: 64, value: search.get('messageId') ?? '', class: 'mono', placeholder: 'all of the session’s'});
  const topic = input({value: search.get('topic') ?? '', placeholder: 'any'});
  const watch = h('button', {type: 'button', onclick: () => arm(600)}, 'Watch for 10 minutes');
  const stop = h('button', {type: 'button', hidden: true, onclick: () => arm(0)}, 'Stop watching');
  const watching = h('p', {class: 'banner', hidden: true, role: 'status'});
  const result = h('div', {}, empty('Follow a message', 'Name a session and a messageId to see where the message is and who is owed it. To see each of its steps, watch the session before it is sent: nodes note nothing until somebody looks.'));
  let stream, timer, until = 0, events = [], ended = false, asked = 0;

  const close = () => { stream?.close(); stream = null; live.el.hidden = true; };

  const look = async (quiet) => {
    if (!session.value.trim()) return;
    const mine = ++asked, begun = performance.now();
    if (!quiet) fill(result, loading());
    try {
      const t = await admin('GET', '/trace' + query({session: session.value.trim(), messageId: messageId.value.trim(), topic: topic.value.trim()}));
      if (ended || mine !== asked) return;
      took = performance.now() - begun;
      events = t.events;
      show(t);
      watched(t.watchedMs);
    } catch (err) {
      if (!ended && mine === asked) { close(); fill(result, h('p', {class: 'banner bad', role: 'alert'}, err.message)); }
    }
  };

  const arm = async (seconds) => {
    if (!form.reportValidity()) return;
    try {
      const got = await admin('POST', '/trace', {session: session.value.trim(), messageId: messageId.value.trim(), seconds});
      if (!seconds && messageId.value.trim()) await admin('POST', '/trace', {session: session.value.trim(), seconds}); // what it was watched with
      toast(seconds ? `${plural(got.nodes.length, 'node')} will note each step for 10 minutes` : 'Nobody watches any more');
      look(true);
    } catch (err) { toast(err.message, 'bad'); }
  };

  const watched = (ms) => {
    until = ms > 0 ? Date.now() + ms : 0;
    stop.hidden = !until;
    watch.hidden = Boolean(until);
    watching.hidden = !until;
    tick();
    if (until && !stream) {
      live.el.hidden = false;
      stream = new Stream({view: 'trace', session: session.value.trim(), messageId: messageId.value.trim()}, {rows: (rows) => {
        const known = new Set(events.map((e) => `${e.node} ${e.n}`));
        const fresh = rows.map((r) => ({node: r.node, ...r.row})).filter((e) => !known.has(`${e.node} ${e.n}`));
        if (!fresh.length) return;
        events = [...events, ...fresh].sort((a, b) => a.node === b.node ? a.n - b.n : Date.parse(a.at) - Date.parse(b.at)).slice(-1000);
        fill(steps, timeline(events, messageId.value.trim(), follow));
        clearTimeout(again);
        again = setTimeout(() => look(true), Math.max(1500, 10 * took)); // what the store knows has changed with it
      }}, live.set);
    } else if (!until) close();
  };
  let again, took = 0;

  const tick = () => {
    if (!until) return;
    const left = (until - Date.now()) / 1000;
    if (left <= 0) { watched(0); return; }
    watching.textContent = `Nodes note each step for another ${span(left)}.`;
  };

  const follow = (id) => { messageId.value = id; close(); look(); scrollTo(0, 0); };

  const steps = h('section', {'aria-label': 'Steps', 'aria-live': 'polite'});
  const show = (t) => {
    fill(steps, timeline(events, t.messageId, follow));
    fill(result, t.messageId && [h('h2', {class: 'section'}, 'In the store'), stored(t)], h('h2', {class: 'section'}, t.messageId ? 'Steps' : 'Messages'), steps);
  };

  const form = h('form', {class: 'card form', onsubmit: (e) => { e.preventDefault(); close(); look(); }},
    h('div', {class: 'grid'}, field('Session', session), field('messageId', messageId), field('Topic', topic)),
    h('div', {class: 'actions start'}, h('button', {class: 'primary', type: 'submit'}, 'Look it up'), watch, stop));
  fill(main, heading('Trace', live.el), form, watching, result);
  timer = setInterval(tick, 1000);
  if (session.value) look(); else session.focus();
  return () => { ended = true; close(); clearInterval(timer); clearTimeout(again); };
}

function stored(t) {
  if (!t.found.length) return h('p', {class: 'card faint'}, 'The store does not know this message. It was never stored (no durable subscriber was owed it, or it did not get here), or more than 15 minutes have passed since everyone settled it.');
  return t.found.map((f) => {
    const owed = f.subscriptions - f.settled;
    const fact = (label, value) => h('div', {}, h('dt', {}, label), h('dd', {}, value));
    return h('article', {class: 'card'},
      h('header', {class: 'row'}, h('h3', {}, f.topic), f.stored ? pill(owed ? `Owed to ${count(owed)} of ${count(f.subscriptions)}` : 'Settled by all', owed ? 'warn' : 'good') : pill('Gone: nobody is owed it', 'good')),
      h('dl', {class: 'list wide'},
        fact('Number', count(f.seq)), fact('Stored', f.storedAt || f.knownAt ? `${date(f.storedAt ?? f.knownAt)}` : '–'),
        f.stored && fact('Expires', date(f.expiresAt)), f.stored && fact('Size', bytes(f.size)),
        f.stored && fact('From', f.origin ? f.origin.slice(2) : 'an anonymous connection'), f.stored && fact('Push', f.pushDue ? 'may be due' : 'none due')),
      f.positions.length > 0 && h('details', {open: f.positions.length <= 12}, h('summary', {}, `Who has acked it (${count(f.settled)} of ${count(f.subscriptions)})`),
        table('Subscribers', [{name: 'Subscriber'}, {name: 'State'}], f.positions.map((p) => [h('code', {}, p.subscriber.slice(2)), p.settled ? pill('Settled', 'good') : pill('Owed', 'warn')])),
        f.subscriptions > f.positions.length && h('p', {class: 'note'}, `The first ${f.positions.length} are shown.`)));
  });
}

// timeline is a message's steps, or, of a whole session, its messages.
function timeline(events, id, follow) {
  if (!events.length) return h('p', {class: 'card faint'}, 'No step was noted. Nodes note them while somebody watches, and keep them for ten minutes after.');
  if (!id) return messages(events, follow);
  const first = Date.parse(events[0].at);
  return h('ol', {class: 'timeline card'}, events.map((e) => {
    const at = Date.parse(e.at);
    return h('li', {class: tones[e.step] ?? ''},
      h('time', {class: 'tab'}, precise(at)), h('span', {class: 'since num'}, at > first ? `+${count(at - first)} ms` : ''),
      h('div', {}, h('b', {}, names[e.step] ?? e.step), ' ', h('span', {}, said(e)), h('span', {class: 'on'}, e.node)));
  }));
}

function messages(events, follow) {
  const byId = new Map();
  for (const e of events) {
    const key = e.topic + '\n' + e.messageId;
    if (!byId.has(key)) byId.set(key, []);
    byId.get(key).push(e);
  }
  const rows = [...byId.values()].reverse().slice(0, 40).map((list) => {
    const last = list.at(-1);
    const whom = (...steps) => new Set(list.filter((e) => steps.includes(e.step)).map((e) => e.who || e.conn)).size;
    return [h('button', {class: 'link mono', onclick: () => follow(last.messageId)}, last.messageId), last.topic, precise(Date.parse(list[0].at)),
      count(whom('sent', 'replayed', 'resent')), count(whom('acked')), h('span', {class: `steptext ${tones[last.step] ?? ''}`}, names[last.step] ?? last.step)];
  });
  return table('Messages', [{name: 'messageId'}, {name: 'Topic'}, {name: 'First seen', class: 'tab'}, {name: 'Sent to', num: true}, {name: 'Acked by', num: true}, {name: 'Last step'}], rows);
}
