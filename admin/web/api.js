// What the portal asks of the broker. The login is a cookie that no script can read.

export class Refused extends Error {
  constructor(status, code, message, retryAfter) {
    super(message);
    this.status = status;
    this.code = code;
    this.retryAfter = retryAfter; // seconds
  }
}

const listeners = new Set();

// onLoggedOut has f called when the login has ended.
export function onLoggedOut(f) { listeners.add(f); }
export function loggedOut() { for (const f of listeners) f(); }

export async function call(method, path, body) {
  let res;
  try {
    res = await fetch(path, {
      method,
      headers: body === undefined ? {} : {'Content-Type': 'application/json'},
      body: body === undefined ? undefined : JSON.stringify(body),
      credentials: 'same-origin',
      cache: 'no-store',
      redirect: 'error',
    });
  } catch {
    throw new Refused(0, 'unreachable', 'The broker cannot be reached. Is the network up?');
  }
  let answer = null;
  try { answer = await res.json(); } catch { /* below */ }
  if (res.ok && answer) return answer;
  if (res.status === 401 && !path.endsWith('/login')) loggedOut();
  throw new Refused(res.status, answer?.code ?? 'internal', sentence(answer?.error ?? `The broker answered ${res.status}`),
    Number(res.headers.get('Retry-After')) || 0);
}

// sentence turns an error's text, which begins small, into one.
export function sentence(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

export const admin = (method, path, body) => call(method, '/api/admin' + path, body);
export const query = (params) => {
  const q = new URLSearchParams();
  for (const [k, v] of Object.entries(params)) if (v !== '' && v !== null && v !== undefined) q.set(k, v);
  const s = q.toString();
  return s ? '?' + s : '';
};

// Whoever looks at a live page keeps their login: so a page that nobody touches lets go of it.
const idleAfter = 25 * 60e3;
let touched = Date.now();
for (const kind of ['pointerdown', 'keydown', 'wheel', 'touchstart']) {
  addEventListener(kind, () => { touched = Date.now(); }, {passive: true, capture: true});
}

// Stream is one page's server-sent events. state is called with 'live', 'lost' or 'idle'.
export class Stream {
  constructor(params, handlers, state = () => {}) {
    this.params = params;
    this.handlers = handlers;
    this.state = state;
    this.closed = false;
    this.open();
    this.timer = setInterval(() => this.check(), 30e3);
  }

  open() {
    const source = this.source = new EventSource('/api/admin/events' + query(this.params));
    source.onopen = () => this.state('live');
    source.onerror = () => {
      if (this.closed || source !== this.source) return;
      this.state('lost');
      if (source.readyState === EventSource.CLOSED) this.later(); // it was refused: a browser gives up then
    };
    for (const [event, handle] of Object.entries(this.handlers)) {
      source.addEventListener(event, (e) => handle(JSON.parse(e.data)));
    }
    source.addEventListener('gone', () => { this.close(); loggedOut(); });
  }

  async later() {
    try {
      const {user} = await admin('GET', '/me');
      if (!user) { if (!this.closed) loggedOut(); return; }
    } catch { /* the broker is away: try on */ }
    if (!this.closed) this.retry = setTimeout(() => { if (!this.closed) this.open(); }, 3000);
  }

  check() {
    if (Date.now() - touched < idleAfter || this.idle) return;
    this.idle = true;
    this.source.close();
    this.state('idle');
    const wake = () => { removeEventListener('pointerdown', wake); removeEventListener('keydown', wake); this.idle = false; if (!this.closed) this.open(); };
    addEventListener('pointerdown', wake);
    addEventListener('keydown', wake);
  }

  close() {
    this.closed = true;
    clearInterval(this.timer);
    clearTimeout(this.retry);
    this.source.close();
  }
}
