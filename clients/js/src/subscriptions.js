import { Deferred, within } from './async.js';
import { jitter } from './backoff.js';
import { text } from './crypto/bytes.js';
import { openLegacy } from './crypto/legacy.js';
import { isSuite2, openMessage } from './crypto/message.js';
import { ReplayGuard } from './crypto/replay.js';
import { Dedupe, keyOf } from './dedupe.js';
import { FastPortError, asError, isCode } from './errors.js';
import { MAX_IN_FLIGHT } from './frames.js';

/** @typedef {import('./frames.js').ServerFrame} ServerFrame */
/** @typedef {import('./connection.js').Login} Login */

/**
 * An opened message.
 * @typedef {object} Message
 * @property {string} topic
 * @property {string} id
 * @property {Uint8Array} payload
 * @property {string} text the payload as text
 * @property {number} timestamp ms, of its sender
 * @property {number | null} seq its place in the topic; null where the server did not tell
 * @property {number} retry how many times the server has sent it before, as far as this delivery tells
 * @property {boolean} replay read back from the store
 * @property {0 | 1} qos 0: at most once
 * @property {boolean} legacy suite 1: nothing proves sender, topic or time
 */

/**
 * Takes the messages of one topic, one at a time, in order. Once it has returned, and its promise has resolved, the message is acked. Where it
 * throws the message stays unacked: the server sends it again.
 * @callback Handler
 * @param {string} message
 * @param {number} timestamp ms
 * @param {Message} info
 * @returns {unknown}
 */

/**
 * A message that came, still sealed.
 * @typedef {object} Delivery
 * @property {string} key
 * @property {Message} message without payload and text
 * @property {string} data
 * @property {string} hash
 */

/**
 * One topic's. Its messages wait here for the handler, for one that is still to come too: a durable subscriber's come as soon as it has logged in.
 * @typedef {object} Subscription
 * @property {string} topic
 * @property {Handler | null} handler
 * @property {import('./files/receiving.js').FileHandler | null} files
 * @property {Delivery[]} queue
 * @property {boolean} working
 */

// What is in hand over all topics, at most. A message beyond it is left unacked: the server sends it again.
const MAX_IN_HAND = 16 * MAX_IN_FLIGHT;
const MAX_IN_HAND_CHARS = 64 << 20;

/** All topics that a client is subscribed to. */
export class Subscriptions {
  #o;
  #c;
  #seen;
  #replay = new ReplayGuard();
  /** @type {Map<string, Subscription>} */
  #topics = new Map();
  /** @type {string[]} topics that the server held for this durable subscriber */
  #kept = [];
  #count = 0;
  #chars = 0;
  #done = false;
  #active = 0;
  /** @type {Deferred[]} */
  #idle = [];

  /**
   * @param {import('./options.js').Settings} o
   * @param {{
   *   ring: () => import('./crypto/keyring.js').KeyRing,
   *   ack: (topic: string, id: string) => void,
   *   own: (key: string) => boolean,
   *   fault: (err: unknown) => void,
   *   subscribeAgain: (topic: string) => void,
   * }} c
   */
  constructor(o, c) {
    this.#o = o;
    this.#c = c;
    this.#seen = new Dedupe(o.dedupeSize);
  }

  /**
   * Gives a topic's subscription a use. False: it has that already.
   * @param {string} topic
   * @param {{ handler?: Handler, files?: import('./files/receiving.js').FileHandler }} use
   */
  claim(topic, { handler, files }) {
    const sub = this.#get(topic);
    if (handler && sub.handler || files && sub.files) return false;
    sub.handler ??= handler ?? null;
    sub.files ??= files ?? null;
    this.#work(sub);
    return true;
  }

  /**
   * Takes a use back that never became real. True: it was the last.
   * @param {string} topic
   * @param {{ handler?: Handler, files?: import('./files/receiving.js').FileHandler }} use
   */
  release(topic, { handler, files }) {
    const sub = this.#topics.get(topic);
    if (!sub) return false;
    if (handler && sub.handler === handler) sub.handler = null;
    if (files && sub.files === files) sub.files = null;
    if (sub.handler || sub.files) return false;
    this.remove(topic);
    return true;
  }

  /** @param {string} topic */
  #get(topic) {
    let sub = this.#topics.get(topic);
    if (!sub) {
      sub = { topic, handler: null, files: null, queue: [], working: false };
      this.#topics.set(topic, sub);
    }
    return sub;
  }

  /**
   * Ends a topic's subscription: no call of its handler begins after this.
   * @param {string} topic
   */
  remove(topic) {
    const sub = this.#topics.get(topic);
    this.#kept = this.#kept.filter((t) => t !== topic);
    if (!sub) return;
    this.#topics.delete(topic);
    for (const d of sub.queue.splice(0)) {
      this.#leave(d);
      this.#seen.finish(d.key, false);
    }
  }

  /**
   * Notes what the server keeps for this subscriber, and lists the topics to subscribe again.
   * @param {Login} l
   * @returns {string[]}
   */
  loggedIn(l) {
    this.#kept = l.topics;
    const held = new Set(l.resumed ? l.topics : []);
    return [...this.#topics.values()].filter((sub) => (sub.handler || sub.files) && !held.has(sub.topic)).map((sub) => sub.topic);
  }

  /**
   * A topic could not be subscribed again. It stays: for a moment later where that may help, else for the next connection.
   * @param {string} topic
   * @param {FastPortError} err
   */
  refusedAgain(topic, err) {
    this.#c.fault(new FastPortError(err.code, `subscribe ${topic} again: ${err.message}`, { topic, retryable: err.retryable, cause: err }));
    if (!err.retryable) return;
    setTimeout(() => {
      if (this.#topics.has(topic) && !this.#done) this.#c.subscribeAgain(topic);
    }, 1000 + jitter(this.#o.backoffMax / 4));
  }

  /**
   * What takes the topic's files, or null.
   * @param {string} topic
   */
  fileHandler(topic) {
    return this.#topics.get(topic)?.files ?? null;
  }

  /**
   * Was it handed over, or is it about to be?
   * @param {ServerFrame} f
   */
  knows(f) {
    return this.#seen.knows(keyOf(f.topic ?? '', f.messageId ?? ''));
  }

  /**
   * Takes a message frame.
   * @param {ServerFrame} f
   */
  deliver(f) {
    const { topic, messageId: id, data } = f;
    if (typeof topic !== 'string' || typeof id !== 'string' || typeof data !== 'string' || this.#done) return;
    let sub = this.#topics.get(topic);
    if (!sub && this.#kept.includes(topic)) sub = this.#get(topic);
    if (!sub || this.#count > 0 && (this.#count >= MAX_IN_HAND || this.#chars + data.length > MAX_IN_HAND_CHARS)) return;
    const key = keyOf(topic, id);
    const qos = f.qos === 0 ? 0 : 1;
    const verdict = this.#c.own(key) ? 'acked' : this.#seen.begin(key);
    if (verdict === 'acked' && qos > 0) this.#c.ack(topic, id);
    if (verdict !== 'fresh') return;
    this.#count++;
    this.#chars += data.length;
    sub.queue.push({
      key, data, hash: f.hash ?? '',
      message: {
        topic, id, payload: new Uint8Array(), text: '', timestamp: f.timestamp ?? 0, seq: f.seq ?? null, retry: f.retry ?? 0, replay: f.replay ?? false, qos,
        legacy: !isSuite2(data),
      },
    });
    this.#work(sub);
  }

  /** @param {Subscription} sub */
  async #work(sub) {
    if (sub.working) return;
    sub.working = true;
    while (sub.handler && !this.#done) {
      const d = sub.queue.shift();
      if (!d) break;
      this.#active++;
      await this.#handle(d, sub.handler);
      if (--this.#active === 0) for (const idle of this.#idle.splice(0)) idle.resolve();
    }
    sub.working = false;
  }

  /**
   * @param {Delivery} d
   * @param {Handler} handler
   */
  async #handle(d, handler) {
    const { err, settled } = await this.#process(d, handler);
    this.#leave(d);
    if (err) {
      const { topic, id } = d.message;
      const cause = asError(err);
      const code = err instanceof FastPortError ? err.code : 'handler_failed';
      this.#c.fault(new FastPortError(code, `message ${id} on ${topic}: ${cause.message}`, { topic, messageId: id, cause }));
    }
    this.#seen.finish(d.key, settled);
    if (settled && !d.message.legacy) this.#ack(d);
  }

  /**
   * Opens a message and hands it over. settled: it is to be acked, whatever became of it.
   * @param {Delivery} d
   * @param {Handler} handler
   * @returns {Promise<{ err?: unknown, settled: boolean }>}
   */
  async #process(d, handler) {
    const m = d.message;
    if (m.legacy) {
      this.#ack(d); // before it is opened: see the option allowLegacy
      if (!this.#o.allowLegacy) return { err: new FastPortError('legacy_refused', 'sealed with suite 1, which is not allowed here'), settled: true };
      try {
        m.payload = await openLegacy(this.#c.ring(), d.data, d.hash);
        await call(handler, m);
        return { settled: true };
      } catch (err) {
        return { err, settled: true };
      }
    }
    let mark;
    try {
      ({ plaintext: m.payload, mark } = await openMessage(this.#c.ring(), { topic: m.topic, messageId: m.id, timestamp: m.timestamp }, d.data));
    } catch (err) {
      return { err, settled: !isCode(err, 'unknown_key') };
    }
    if (this.#replay.seen(mark)) return { err: replayed(), settled: true };
    try {
      await call(handler, m);
    } catch (err) {
      return { err: failure(err), settled: false };
    }
    return this.#replay.accept(mark) ? { settled: true } : { err: replayed(), settled: true };
  }

  /** @param {Delivery} d */
  #leave(d) {
    this.#count--;
    this.#chars -= d.data.length;
  }

  /** @param {Delivery} d */
  #ack(d) {
    if (d.message.qos > 0) this.#c.ack(d.message.topic, d.message.id);
  }

  /**
   * Lets no further call of a handler begin, and waits for those at work at most so long.
   * @param {number} ms
   */
  async stop(ms) {
    this.#done = true;
    if (this.#active === 0) return;
    const idle = new Deferred();
    this.#idle.push(idle);
    await within(idle.promise, ms);
  }
}

/**
 * @param {Handler} handler
 * @param {Message} m
 */
async function call(handler, m) {
  m.text = text(m.payload);
  await handler(m.text, m.timestamp, m);
}

const replayed = () => new FastPortError('replayed', 'this very message was accepted before');

/** @param {unknown} err what a handler threw: its code, if it has one, is no code of ours */
const failure = (err) => new FastPortError('handler_failed', `the handler failed: ${asError(err).message}`, { cause: err });
