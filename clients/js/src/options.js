import { FastPortError } from './errors.js';
import { parseKey } from './crypto/key.js';
import { checkText } from './frames.js';

/**
 * Where to connect, as whom, and with which keys. The first four are needed; the rest has defaults.
 * @typedef {object} Options
 * @property {string | string[]} serverUrl `ws://host:port` or `wss://host`. A list names nodes of one cluster where no balancer stands
 *   before them: one is picked at random; when it cannot be reached, is lost or asks its clients to leave, the next one has its turn
 * @property {string} sessionName
 * @property {string} password
 * @property {string | string[]} aesKey the session's root key in base64; or several, the newest first: it seals with that and opens with any
 * @property {string} [clientId] makes this a durable subscriber: what it subscribes to is kept for it while it is away. One connection at a time
 *   may use it; a newer one ends this client with code `taken_over`
 * @property {string} [userId] alone makes this one of a user's connections, which share one durable subscription
 * @property {1 | 2} [suite] to seal with: 2, or 1 for a session with clients of the first version. Default: 2
 * @property {boolean} [allowLegacy] takes messages and files of suite 1, which prove neither sender, topic nor time. They are acked when they come,
 *   before they are opened and whatever the handler does: an ack that told an opened message from a forgery would open messages to whoever
 *   sends forgeries. Default: false
 * @property {(err: Error) => void} [onError] gets what no call returns: messages that do not open, handlers that fail, lost connections, files that fail.
 *   Default: `console.warn` of its message
 * @property {(state: State) => void} [onState] is told what becomes of the connection
 * @property {boolean} [wait] makes `init` try, with backoff, until a server is there. Otherwise its first failure is its result
 * @property {number} [retryInterval] ms that a message may stay unacked before it is sent again. Default: 5,000
 * @property {number} [maxRetries] how often; then `emit` fails with `no_answer`. Time without a connection does not count. Default: 100
 * @property {number} [backoffMin] bounds the pause before a new try to connect: a random part of it, doubled with each failure. Default: 250 ms
 * @property {number} [backoffMax] up to this. Default: 30,000 ms
 * @property {number} [connectTimeout] ms to connect to one server and log in. Default: 10,000
 * @property {number} [pingInterval] ms that nothing may come before a ping is sent. Default: 25,000
 * @property {number} [pongTimeout] ms after it that the connection is given up. Default: 10,000
 * @property {number} [queueSize] messages published and not acked, at most. Default: 1,024
 * @property {number} [queueBytes] and bytes of them. Default: 32 MiB
 * @property {number} [dedupeSize] of how many messages, the last ones, it is known that they were handed over. Default: 65,536
 * @property {(url: string) => WebSocket} [webSocket] makes the socket, where the runtime's own needs settings. Default: the browser's; on Node `ws`
 */

/**
 * `connected`; `disconnected`: the client tries again by itself; `moved`: another connection has taken the place of one that was still up, since its
 * node is about to stop, and nothing was lost between them; `closed`: the client has ended, see `client.error`.
 * @typedef {'connected' | 'disconnected' | 'moved' | 'closed'} State
 */

/**
 * Options with every default filled in.
 * @typedef {Required<Omit<Options, 'serverUrl' | 'aesKey' | 'webSocket'>> & { urls: string[], webSocket?: Options['webSocket'] }} Settings
 */

const numbers = {
  retryInterval: 5000, maxRetries: 100, backoffMin: 250, backoffMax: 30_000, connectTimeout: 10_000, pingInterval: 25_000, pongTimeout: 10_000,
  queueSize: 1024, queueBytes: 32 << 20, dedupeSize: 65_536,
};

/**
 * Fills in what was left out. It throws what is wrong.
 * @param {Options} o
 * @returns {Settings}
 */
export function settingsOf(o) {
  if (typeof o !== 'object' || o === null) throw new FastPortError('bad_option', 'FastPort takes an object of options');
  for (const name of Object.keys(o)) if (!known.has(name)) throw new FastPortError('bad_option', `${name}: there is no such option`);
  const urls = (Array.isArray(o.serverUrl) ? o.serverUrl : [o.serverUrl]).map(socketURL);
  if (urls.length === 0) throw new FastPortError('bad_option', 'serverUrl: the list is empty');
  for (const name of /** @type {const} */ (['sessionName', 'password'])) {
    if (typeof o[name] !== 'string' || o[name] === '') throw new FastPortError('bad_option', `${name} is missing`);
  }
  for (const name of /** @type {const} */ (['clientId', 'userId'])) if (o[name]) checkText(name, o[name], 128);
  for (const key of Array.isArray(o.aesKey) ? o.aesKey : [o.aesKey]) parseKey(key);
  const suite = o.suite ?? 2;
  if (suite !== 1 && suite !== 2) throw new FastPortError('bad_option', 'suite: takes 1 or 2');
  const given = { ...numbers };
  for (const name of /** @type {(keyof typeof numbers)[]} */ (Object.keys(numbers))) {
    const value = o[name] ?? numbers[name];
    if (!Number.isFinite(value) || value < 0) throw new FastPortError('bad_option', `${name}: takes a number from 0`);
    given[name] = value;
  }
  return {
    urls, suite, ...given, sessionName: o.sessionName, password: o.password, clientId: o.clientId ?? '', userId: o.userId ?? '',
    allowLegacy: o.allowLegacy ?? false, wait: o.wait ?? false, webSocket: o.webSocket,
    onError: o.onError ?? ((err) => console.warn('fastPort:', err.message)), onState: o.onState ?? (() => {}),
  };
}

const known = new Set([
  'serverUrl', 'sessionName', 'password', 'aesKey', 'clientId', 'userId', 'suite', 'allowLegacy', 'onError', 'onState', 'wait', 'webSocket',
  ...Object.keys(numbers),
]);

/**
 * @param {string} text
 * @returns {string}
 */
function socketURL(text) {
  const url = URL.canParse?.(text) ?? true ? new URL(text) : null;
  if (url && (url.protocol === 'http:' || url.protocol === 'https:')) url.protocol = url.protocol.replace('http', 'ws');
  if (!url || url.protocol !== 'ws:' && url.protocol !== 'wss:') throw new FastPortError('bad_option', 'serverUrl: takes ws://host:port or wss://host');
  url.hash = '';
  return url.href;
}
