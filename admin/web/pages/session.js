import {h, fill, icon, toast} from '../dom.js';
import {admin, call, query} from '../api.js';
import {confirm} from '../dialog.js';
import {bytes, count, date, plural, span} from '../format.js';
import {empty, failed, heading, loading, pill, table, tile} from '../parts.js';
import {stateOf} from './sessions.js';

const every = 5000;

export function session(main, {rest}) {
  const name = rest[0] ?? '';
  const body = h('div', {}, loading());
  const actions = h('div', {class: 'aside'});
  const devices = h('section', {'aria-label': 'Devices'});
  let timer, ended = false, gone = false;

  const load = async () => {
    clearTimeout(timer);
    const begun = performance.now();
    try {
      const s = await admin('GET', `/sessions/${encodeURIComponent(name)}`);
      if (ended) return;
      show(s);
      // A session of millions takes the store a while to count: it gets rest accordingly.
      timer = setTimeout(load, Math.max(every, 20 * (performance.now() - begun)));
    } catch (err) {
      if (ended || gone) return;
      actions.replaceChildren();
      if (err.status === 404) fill(body, empty('No such session', 'It may have been dropped, or it has expired.', h('a', {class: 'button', href: '#/sessions'}, 'All sessions')));
      else { fill(body, failed(err, load)); timer = setTimeout(load, every); }
    }
  };

  const suspend = async (on) => {
    const done = await confirm({
      title: on ? `Suspend ${name}?` : `Resume ${name}?`, action: on ? 'Suspend' : 'Resume', danger: on,
      body: on ? ['Every connection of the session is closed, on all nodes, and nobody can log in until it is resumed.', 'What is stored stays, and expires as always.']
        : ['Its devices can log in again.'],
      act: () => call('POST', '/api/suspendSession', {sessionName: name, suspend: on}),
    });
    if (done) { toast(on ? `${name} is suspended` : `${name} is resumed`); load(); }
  };

  const drop = async () => {
    const done = await confirm({
      title: `Drop ${name}?`, action: 'Drop it for good', danger: true, type: name,
      body: ['The session, its subscriptions, devices and every message that is still owed are deleted, on all nodes and at once.', 'Nothing brings them back.'],
      act: async () => { await call('POST', '/api/dropSession', {sessionName: name}); gone = true; },
    });
    if (done) { toast(`${name} was dropped`); location.hash = '#/sessions'; }
  };

  let drawn = '';
  const show = (s) => {
    const key = JSON.stringify(s);
    if (key === drawn) return;
    drawn = key;
    if (!actions.childElementCount || actions.dataset.suspended !== String(s.suspended)) {
      actions.dataset.suspended = s.suspended;
      fill(actions, h('a', {class: 'button', href: `#/trace?session=${encodeURIComponent(name)}`}, 'Trace'),
        h('button', {onclick: () => suspend(!s.suspended)}, s.suspended ? 'Resume' : 'Suspend'),
        h('button', {class: 'danger outline', onclick: drop}, 'Drop'));
    }
    const fact = (label, value) => h('div', {}, h('dt', {}, label), h('dd', {}, value));
    fill(body,
      h('p', {class: 'under'}, stateOf(s), h('span', {}, `created ${date(s.createdAt)}`), h('span', {}, s.expiresAt ? `expires ${date(s.expiresAt)}` : 'does not expire')),
      h('dl', {class: 'tiles'},
        tile('Connections', count(s.live.connections), `on ${plural(s.nodes.length, 'node')}`),
        tile('Topics', count(s.usage.topics), 'in the store'),
        tile('Subscriptions', count(s.usage.subscriptions), 'durable'),
        tile('Stored messages', count(s.usage.messages), bytes(s.usage.bytes)),
        tile('Devices', count(s.usage.devices), `of ${plural(s.usage.users, 'user')}`),
        tile('Pushes due', count(s.pushState.waiting), s.pushState.enabled ? 'messages to wake for' : 'push is off')),
      h('div', {class: 'columns'},
        h('section', {class: 'card'}, h('h2', {}, 'Settings'), h('dl', {class: 'list'},
          fact('Try again after', span(s.retryInterval / 1000)), fact('Tries', count(s.maxRetryLimit)),
          fact('A message expires', s.messageExpiryTime === null ? 'at the server’s cap' : `after ${span(s.messageExpiryTime / 1000)}`),
          fact('A subscription expires', `after ${span(s.subscriptionExpiry / 1000)} unused`),
          fact('Sealing', s.suite === 2 ? 'required (suite 2)' : 'left to its devices'))),
        h('section', {class: 'card'}, h('h2', {}, 'Push'), h('dl', {class: 'list'},
          fact('State', s.pushState.enabled ? pill('On', 'good') : s.pushState.configured ? pill('Turned off', 'warn') : pill('No Firebase project', 'none')),
          fact('Project', s.pushState.projectId || '–'), fact('Devices', count(s.usage.devices)), fact('Messages waiting', count(s.pushState.waiting))))),
      h('h2', {class: 'section'}, 'By node'),
      s.nodes.length ? table('By node', [{name: 'Node'}, {name: 'Connections', num: true}, {name: 'clientIds and userIds', num: true}, {name: 'Topics in use', num: true}],
        s.nodes.map((n) => [h('span', {class: 'strong'}, n.node), count(n.connections), count(n.subscribers), count(n.topics)]))
        : h('p', {class: 'faint'}, 'Nobody is connected.'));
  };

  fill(main, h('a', {class: 'crumb', href: '#/sessions'}, icon('back'), 'Sessions'),
    h('header', {class: 'head'}, h('h1', {tabindex: '-1'}, name), actions), body, devices);
  load();
  listDevices(devices, name);
  return () => { ended = true; clearTimeout(timer); };
}

// listDevices shows the session's devices in pages.
async function listDevices(el, name, trail = [{}]) {
  const at = trail.at(-1);
  try {
    const got = await admin('GET', `/sessions/${encodeURIComponent(name)}/devices` + query({limit: 20, afterUser: at.userId, afterDevice: at.deviceId}));
    if (!got.devices.length && trail.length === 1) { fill(el, h('h2', {class: 'section'}, 'Devices'), h('p', {class: 'faint'}, 'No device has registered for pushes.')); return; }
    fill(el, h('h2', {class: 'section'}, 'Devices'),
      table('Devices', [{name: 'User'}, {name: 'Device'}, {name: 'Platform'}, {name: 'Registered', class: 'tab'}, {name: 'Token renewed', class: 'tab'}],
        got.devices.map((d) => [d.userId, h('code', {}, d.deviceId), d.platform, date(d.createdAt), date(d.updatedAt)])),
      (trail.length > 1 || got.more) && h('div', {class: 'pager'},
        h('button', {disabled: trail.length === 1, onclick: () => listDevices(el, name, trail.slice(0, -1))}, 'Previous'),
        h('span', {class: 'note'}, `Page ${trail.length}`),
        h('button', {disabled: !got.more, onclick: () => listDevices(el, name, [...trail, got.devices.at(-1)])}, 'Next')));
  } catch (err) {
    if (err.status !== 404) fill(el, failed(err, () => listDevices(el, name, trail)));
  }
}
