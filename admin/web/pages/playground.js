// Two devices of a session, in this page: what they do goes through the JavaScript SDK and the broker like any device's.

import {h, fill, icon, uid} from '../dom.js';
import {bytes, precise} from '../format.js';
import {canDerive} from '../keys.js';
import {empty, field, heading, pill} from '../parts.js';

const shown = 200; // rows of a pane
let handed = null; // by the page that made a session, once

// hand gives the playground what it needs to log in. It stays in this page's memory, and is forgotten with it.
export function hand(made) { handed = made; }

export function playground(main, {search}) {
  if (!canDerive()) {
    fill(main, heading('Playground'), empty('This page needs https', 'Browsers seal messages on pages that came over TLS, or from this machine, alone. Open the portal by https.'));
    return undefined;
  }
  const given = handed ?? {session: search.get('session') ?? '', password: '', key: ''};
  handed = null;
  const input = (props) => h('input', {id: uid('in'), autocomplete: 'off', spellcheck: 'false', autocapitalize: 'off', required: true, ...props});
  const session = input({value: given.session, placeholder: 'acme-chat'});
  const password = input({value: given.password, type: 'password', autocomplete: 'off'});
  const key = input({value: given.key, type: 'password', class: 'mono'});
  const topic = input({value: 'playground', maxlength: 255});
  const access = () => form.reportValidity() ? {sessionName: session.value.trim(), password: password.value, aesKey: key.value.trim(), topic: topic.value.trim()} : null;
  const panes = ['alice', 'bob'].map((name) => new Pane(name, access));
  const both = h('button', {class: 'primary', type: 'submit'}, 'Connect both');
  const form = h('form', {class: 'card form wide', onsubmit: (e) => { e.preventDefault(); for (const p of panes) p.connect(); }},
    h('div', {class: 'grid'}, field('Session', session), field('Password', password), field('Root key', key), field('Topic', topic)),
    h('div', {class: 'actions start'}, both, h('span', {class: 'hint'}, 'Both stay in this page: the password goes to the broker to log in, the root key goes nowhere.')));
  fill(main, heading('Playground'), form, h('div', {class: 'panes'}, panes.map((p) => p.el)));
  if (!given.session) session.focus();
  return () => { for (const p of panes) p.disconnect(); };
}

// Pane is one device.
class Pane {
  constructor(name, access) {
    this.access = access;
    this.client = null;
    this.urls = [];
    const title = uid('pane');
    this.name = h('input', {id: uid('in'), value: name, maxlength: 128, required: true, autocomplete: 'off', spellcheck: 'false', 'aria-label': 'clientId'});
    this.state = h('span', {role: 'status'});
    this.rows = h('ol', {class: 'chat', tabindex: '0', role: 'log', 'aria-label': `What ${name} sees`});
    this.text = h('input', {'aria-label': `Message of ${name}`, placeholder: 'Message', autocomplete: 'off', disabled: true});
    this.send = h('button', {type: 'submit', disabled: true}, 'Publish');
    this.pick = h('input', {type: 'file', hidden: true, onchange: () => { if (this.pick.files[0]) this.sendFile(this.pick.files[0]); this.pick.value = ''; }});
    this.attach = h('button', {type: 'button', disabled: true, onclick: () => this.pick.click()}, 'Send a file');
    this.toggle = h('button', {type: 'button', onclick: () => this.client ? this.disconnect() : this.connect()}, 'Connect');
    this.el = h('section', {class: 'card pane', 'aria-labelledby': title},
      h('header', {}, h('h2', {id: title, class: 'hidden'}, `Device ${name}`), this.name, this.state, this.toggle),
      this.rows,
      h('form', {onsubmit: (e) => { e.preventDefault(); this.publish(); }}, this.text, this.send, this.attach, this.pick));
    this.is('off');
    this.note('Not connected yet. From its first connection on, what is published while it is away waits for it.');
  }

  is(state) {
    const [label, tone] = {off: ['Offline', 'none'], wait: ['Connecting…', 'warn'], connected: ['Connected', 'good'], moved: ['Connected', 'good'], disconnected: ['Reconnecting…', 'warn'], closed: ['Offline', 'none']}[state];
    fill(this.state, pill(label, tone));
    const up = state === 'connected' || state === 'moved';
    for (const el of [this.text, this.send, this.attach]) el.disabled = !up;
    this.name.disabled = Boolean(this.client);
    this.toggle.textContent = this.client ? 'Disconnect' : 'Connect';
  }

  async connect() {
    const access = this.access();
    if (this.client || !access) return;
    const {topic, ...login} = access;
    this.is('wait');
    let client;
    try {
      const {FastPort} = await import('/sdk/fastport.js');
      client = this.client = new FastPort({...login, clientId: this.name.value.trim(), serverUrl: location.origin,
        onState: (s) => { if (this.client === client) this.is(s); }, onError: (e) => this.fault(e)});
      this.is('wait');
      await client.init();
      this.topic = topic;
      await Promise.all([
        client.get(topic, (text, at, m) => { this.row('in', text, m.id, m.replay ? 'from the store' : ''); }),
        client.onFile(topic, (name, data) => { this.file('in', name, data); }),
      ]);
      if (this.client !== client) return;
      this.is('connected');
      this.note(`Subscribed to ${topic}.`);
    } catch (err) {
      this.client = null;
      client?.close().catch(() => {});
      this.is('off');
      this.fault(err);
    }
  }

  disconnect() {
    const client = this.client;
    this.client = null;
    client?.close().catch(() => {});
    for (const url of this.urls) URL.revokeObjectURL(url);
    this.urls = [];
    this.is('off');
  }

  async publish() {
    const text = this.text.value;
    if (!text) return;
    this.text.value = '';
    const messageId = crypto.randomUUID();
    const row = this.row('out', text, messageId, 'sending…');
    try {
      const begun = performance.now();
      const receipt = await this.client.emit(this.topic, text, {messageId});
      row.told(`acked in ${Math.round(performance.now() - begun)} ms${receipt.seq ? '' : ', nobody is owed it'}`);
    } catch (err) {
      row.told(err.message, 'bad');
    }
  }

  async sendFile(file) {
    const row = this.file('out', file.name, file, 'sending…');
    try {
      await this.client.sendFile(file, this.topic, {onProgress: (p) => { if (p.size) row.told(`${Math.round(100 * p.done / p.size)} %`); }});
      row.told('received');
    } catch (err) {
      row.told(err.message, 'bad');
    }
  }

  row(way, text, id, status) {
    const {sessionName} = this.access() ?? {};
    const trace = id && sessionName && h('a', {href: `#/trace?session=${encodeURIComponent(sessionName)}&messageId=${encodeURIComponent(id)}`, title: id}, 'trace');
    return this.add(way, h('p', {}, text), status, trace);
  }

  file(way, name, data, status = '') {
    const url = URL.createObjectURL(data instanceof Blob ? data : new Blob([data]));
    this.urls.push(url);
    return this.add(way, h('p', {}, icon('audit'), h('a', {href: url, download: name || 'file'}, name || 'file'), ' ', h('span', {class: 'note'}, bytes(data.size ?? data.length))), status);
  }

  add(way, what, status, more) {
    const told = h('span', {}, status);
    this.put(h('li', {class: way}, what, h('div', {class: 'meta'}, h('time', {class: 'num'}, precise(Date.now())), told, more)));
    return {told: (text, tone) => { told.textContent = text; told.className = tone ?? ''; }};
  }

  note(text) { this.put(h('li', {class: 'aside'}, text)); }
  fault(err) { this.put(h('li', {class: 'aside bad'}, err.message)); }

  put(li) {
    this.rows.append(li);
    while (this.rows.childElementCount > shown) this.rows.firstChild.remove();
    this.rows.scrollTop = this.rows.scrollHeight;
  }
}
