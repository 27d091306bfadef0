import { Deferred } from './async.js';
import { Backoff } from './backoff.js';
import { FastPortError, refusal } from './errors.js';
import { keyOf } from './dedupe.js';

/** @typedef {import('./connection.js').Connection} Connection */
/** @typedef {import('./frames.js').ClientFrame} ClientFrame */

/**
 * What `emit` resolves with.
 * @typedef {object} Receipt
 * @property {string} messageId
 * @property {number | null} seq the message's place in its topic; null where nothing had to be stored
 * @property {number} tries how many times it went out. One that went out again may stand behind messages that were sent after it
 */

/**
 * A message that is published and not acked yet.
 * @typedef {object} Publication
 * @property {string} key
 * @property {string} topic
 * @property {string} id
 * @property {import('./crypto/bytes.js').Bytes} payload
 * @property {0 | 1} qos
 * @property {Deferred<Receipt>} done
 * @property {number} tries times it went out
 * @property {number} sent last, by performance.now()
 * @property {boolean} waiting to go out
 * @property {number} turn counts how often it was taken up: what was sealed in an earlier turn does not go out
 * @property {number} later not before; 0: nothing was put off
 */

// How much is sealed and sent before anything else may.
const BATCH = 64;
const BATCH_BYTES = 128 << 10;

/**
 * What is published and not acked yet, at most queueSize messages and queueBytes of them. More is refused.
 */
export class Outbox {
  #o;
  #seal;
  #wake;
  /** @type {Map<string, Publication>} in the order of the calls */
  #pending = new Map();
  /** @type {Publication[]} to go out, in order; those that are over are skipped */
  #queue = [];
  #bytes = 0;
  /** @type {Set<Publication>} those not answered on this connection yet */
  #out = new Set();
  /** @type {unknown} the client has ended */
  #error = null;
  /** @type {Deferred[]} */
  #emptied = [];
  /** @type {Deferred[]} */
  #quieted = [];

  /**
   * @param {import('./options.js').Settings} o
   * @param {(p: Publication) => Promise<ClientFrame>} seal
   * @param {() => void} wake
   */
  constructor(o, seal, wake) {
    this.#o = o;
    this.#seal = seal;
    this.#wake = wake;
  }

  /**
   * Queues a message.
   * @param {string} topic
   * @param {string} id
   * @param {import('./crypto/bytes.js').Bytes} payload
   * @param {0 | 1} qos
   * @returns {Publication}
   */
  add(topic, id, payload, qos) {
    if (this.#error) throw this.#error;
    const key = keyOf(topic, id);
    if (this.#pending.has(key)) {
      throw new FastPortError('duplicate', 'a message of this topic and id is being published already', { topic, messageId: id });
    }
    const full = this.#pending.size >= this.#o.queueSize || this.#pending.size > 0 && this.#bytes + payload.length > this.#o.queueBytes;
    if (full) throw new FastPortError('queue_full', 'too much is published and not acked: wait for earlier calls of emit', { topic, messageId: id });
    /** @type {Publication} */
    const p = { key, topic, id, payload, qos, done: new Deferred(), tries: 0, sent: 0, waiting: true, turn: 0, later: 0 };
    this.#pending.set(key, p);
    this.#queue.push(p);
    this.#bytes += payload.length;
    this.#wake();
    return p;
  }

  /**
   * Seals and sends what waits, up to a batch. True: there was something.
   * @param {Connection} k
   * @param {() => boolean} may tells whether k may still send messages
   * @param {(key: string) => void} sending is told of each that goes out
   */
  async pull(k, may, sending) {
    const batch = this.#take();
    if (batch.length === 0) return false;
    const turns = batch.map((p) => p.turn);
    const frames = await Promise.all(batch.map((p) => this.#seal(p).catch((err) => { this.#settle(p, err); })));
    batch.forEach((p, i) => {
      const frame = frames[i];
      if (!frame || p.turn !== turns[i] || this.#pending.get(p.key) !== p) return; // it has ended, or goes over another connection
      if (!may()) {
        p.waiting = true;
        return;
      }
      p.tries++;
      p.sent = performance.now();
      this.#out.add(p);
      sending(p.key);
      k.send(frame);
    });
    if (batch.some((p) => p.waiting)) this.#requeue();
    return true;
  }

  #take() {
    /** @type {Publication[]} */
    const batch = [];
    for (let bytes = 0; this.#queue.length > 0 && batch.length < BATCH && bytes < BATCH_BYTES;) {
      const p = /** @type {Publication} */ (this.#queue.shift());
      if (!p.waiting || this.#pending.get(p.key) !== p) continue;
      p.waiting = false;
      p.turn++;
      p.sent = performance.now();
      bytes += p.payload.length;
      batch.push(p);
    }
    return batch;
  }

  /** Puts all that waits in the order of the calls. */
  #requeue() {
    this.#queue = [...this.#pending.values()].filter((p) => p.waiting);
  }

  /** Lets all that is pending go out again over a new connection, in its order. */
  restart() {
    for (const p of this.#pending.values()) {
      if (p.qos === 0 && p.tries > 0) continue; // the old connection may still bring its ack
      p.waiting = true;
      p.turn++;
      p.later = 0;
      this.#answered(p);
    }
    this.#requeue();
  }

  /** The connection is down: what may go out only once has had its chance. */
  lost() {
    for (const p of [...this.#pending.values()]) {
      if (p.qos === 0 && p.tries > 0) this.#settle(p, new FastPortError('lost', 'connection lost: it may or may not have arrived', about(p)));
    }
  }

  /** Sends again what has stayed unanswered, or was put off. To be called about once a second while there is a connection. */
  tick() {
    const now = performance.now();
    let again = false;
    for (const p of [...this.#pending.values()]) {
      if (p.waiting || p.tries === 0) continue;
      if (p.later > 0 ? now < p.later : now - p.sent < this.#o.retryInterval) continue;
      if (p.qos === 0 || p.tries > this.#o.maxRetries) {
        this.#settle(p, new FastPortError('no_answer', `no ack after ${p.tries} tries: it may or may not have arrived`, about(p)));
        continue;
      }
      p.waiting = again = true;
      p.later = 0;
    }
    if (!again) return;
    this.#requeue();
    this.#wake();
  }

  /** @param {import('./frames.js').ServerFrame} f an ack_received */
  acked(f) {
    const p = this.#find(f);
    if (p) this.#settle(p, null, f.seq ?? null);
  }

  /**
   * Takes a failure: for good, or for now.
   * @param {import('./frames.js').ServerFrame} f
   */
  refused(f) {
    const p = this.#find(f);
    if (!p) return;
    const err = refusal(f);
    if (p.qos === 0 || !err.retryable || p.tries > this.#o.maxRetries) {
      this.#settle(p, err);
      return;
    }
    const b = new Backoff(this.#o.backoffMin, this.#o.backoffMax);
    b.failures = Math.max(0, p.tries - 1);
    p.later = performance.now() + b.next();
    this.#answered(p);
  }

  /** @param {import('./frames.js').ServerFrame} f */
  #find(f) {
    return this.#pending.get(keyOf(f.topic ?? '', f.messageId ?? ''));
  }

  /**
   * Gives a message up, unless it has ended.
   * @param {Publication} p
   * @param {unknown} err
   */
  abandon(p, err) {
    this.#settle(p, err);
  }

  /**
   * @param {Publication} p
   * @param {unknown} err null: it was acked
   * @param {number | null} [seq]
   */
  #settle(p, err, seq = null) {
    if (this.#pending.get(p.key) !== p) return;
    this.#pending.delete(p.key);
    this.#bytes -= p.payload.length;
    this.#answered(p);
    if (err) p.done.reject(err);
    else p.done.resolve({ messageId: p.id, seq, tries: p.tries });
    if (this.#pending.size === 0) for (const d of this.#emptied.splice(0)) d.resolve();
  }

  /** @param {Publication} p */
  #answered(p) {
    this.#out.delete(p);
    if (this.#out.size === 0) for (const d of this.#quieted.splice(0)) d.resolve();
  }

  /** Resolves once nothing is pending. */
  async empty() {
    if (this.#pending.size === 0) return;
    const d = new Deferred();
    this.#emptied.push(d);
    await d.promise;
  }

  /** Resolves once all that went out is answered. No more may go out meanwhile. */
  async quiet() {
    if (this.#out.size === 0) return;
    const d = new Deferred();
    this.#quieted.push(d);
    await d.promise;
  }

  /** Names all that is pending. */
  keys() {
    return [...this.#pending.keys()];
  }

  /**
   * Ends all that is pending, and all that comes.
   * @param {unknown} err
   */
  fail(err) {
    this.#error ??= err;
    for (const p of [...this.#pending.values()]) this.#settle(p, err);
    for (const d of this.#emptied.splice(0)) d.resolve();
  }
}

/** @param {Publication} p */
const about = (p) => ({ topic: p.topic, messageId: p.id });
