import { within } from '../async.js';
import { FastPortError, asError, isCode } from '../errors.js';
import { MAX_OPEN_FILES } from '../frames.js';
import { Incoming } from './incoming.js';

/** @typedef {import('../connection.js').Connection} Connection */
/** @typedef {import('../frames.js').ServerFrame} ServerFrame */
/** @typedef {import('./incoming.js').FileOffer} FileOffer */

/**
 * Takes a file that is whole and right.
 * @callback FileTaker
 * @param {string} fileName as its sender chose it: any text, to be trusted as a file name by nobody
 * @param {any} fileData what `save` made of it: a Uint8Array by default
 * @param {FileOffer} offer
 * @returns {unknown}
 */

/**
 * What the application gave to onFile.
 * @typedef {object} FileHandler
 * @property {FileTaker} handler
 * @property {import('./incoming.js').Save} save
 * @property {((p: import('./sending.js').FileProgress) => void) | undefined} onProgress
 */

// How many files that are complete are remembered, to say so to a server that sends one again.
const MAX_RECEIVED = 256;

/** The files on their way in. */
export class Receivings {
  #c;
  /** @type {Map<string, Incoming>} */
  #list = new Map();
  /** @type {Map<string, number>} complete files and their chunks, the oldest first */
  #received = new Map();
  /** @type {{ kept: import('./incoming.js').Kept, h: FileHandler }[]} parts of files that wait for a connection */
  #kept = [];
  /** @type {Set<Promise<void>>} */
  #running = new Set();
  /** @type {unknown} no more are taken */
  #error = null;

  /**
   * @param {{
   *   allowLegacy: boolean,
   *   clientId: string,
   *   ring: () => import('../crypto/keyring.js').KeyRing,
   *   handler: (topic: string) => FileHandler | null,
   *   current: () => Connection | null,
   *   fault: (err: unknown) => void,
   * }} c
   */
  constructor(c) {
    this.#c = c;
  }

  /**
   * Takes an init_file.
   * @param {Connection} k
   * @param {ServerFrame} f
   */
  begin(k, f) {
    const { fileId = '', topic = '' } = f;
    const known = this.#list.get(fileId);
    if (known) { // its sender came back to a server that did not know it
      const extra = known.restart(k, this.#c.current() === k);
      if (extra) leave(extra, fileId, topic);
      return;
    }
    const total = this.#received.get(fileId);
    if (total !== undefined) {
      k.send({ type: 'file_resume', fileId, next: total });
      return;
    }
    const h = this.#c.handler(topic);
    if (!h || this.#error) { // not to hold up the sender and the others
      leave(k, fileId, topic);
      return;
    }
    if (this.#list.size >= MAX_OPEN_FILES) {
      leave(k, fileId, topic);
      this.#tell(new FastPortError('quota_exceeded', 'file: too many at once'), { fileId, topic, fileName: '' });
      return;
    }
    this.#take(new Incoming(f, k), h);
  }

  /**
   * Goes on with what an earlier page had taken of a topic's files.
   * @param {string} topic
   * @param {FileHandler} h
   */
  async takeUp(topic, h) {
    if (!h.save.left || !this.#c.clientId) return;
    const left = await h.save.left(this.#owner(topic));
    this.#kept.push(...left.map((kept) => ({ kept, h })));
    this.move(this.#c.current());
  }

  /** @param {string} topic */
  #owner(topic) {
    return { session: this.#c.ring().session, clientId: this.#c.clientId, topic };
  }

  /**
   * @param {Incoming} t
   * @param {FileHandler} h
   */
  #take(t, h) {
    this.#list.set(t.offer.fileId, t);
    const running = this.#run(t, h).finally(() => this.#running.delete(running));
    this.#running.add(running);
  }

  /**
   * @param {Incoming} t
   * @param {FileHandler} h
   */
  async #run(t, h) {
    let data;
    try {
      const save = (/** @type {FileOffer} */ offer, /** @type {ServerFrame} */ init) =>
        h.save(offer, this.#c.clientId ? { owner: this.#owner(offer.topic), init } : null);
      data = await t.run(this.#c.ring(), this.#c.allowLegacy, save, h.onProgress);
    } catch (err) {
      this.#remove(t, err);
      this.#tell(err, t.offer);
      return;
    }
    this.#remove(t, null);
    try {
      await h.handler(t.offer.fileName, data, t.offer);
    } catch (err) {
      this.#tell(new FastPortError('handler_failed', `the handler failed: ${asError(err).message}`, { cause: err }), t.offer);
    }
  }

  /**
   * Forgets a file that has ended, and tells the server.
   * @param {Incoming} t
   * @param {unknown} err
   */
  #remove(t, err) {
    const { fileId, topic, legacy } = t.offer;
    this.#list.delete(fileId);
    if (!err) {
      this.#received.set(fileId, t.total);
      for (const oldest of this.#received.keys()) {
        if (this.#received.size <= MAX_RECEIVED) break;
        this.#received.delete(oldest);
      }
    }
    if (t.conn.isDown) return;
    if (!err || legacy && t.allTaken) t.conn.send({ type: 'file_ack', fileId, next: t.total });
    else if (!t.gone) leave(t.conn, fileId, topic);
  }

  /**
   * @param {unknown} err
   * @param {{ fileId: string, topic: string, fileName: string }} about
   */
  #tell(err, { fileId, topic, fileName }) {
    if (isCode(err, 'declined')) return;
    const cause = asError(err);
    const code = err instanceof FastPortError ? err.code : 'handler_failed'; // `save` or the sink threw
    this.#c.fault(new FastPortError(code, `file ${fileId} on ${topic}: ${cause.message}`, { fileId, topic, fileName, cause }));
  }

  /**
   * @param {Connection} k
   * @param {{ fileId: string, index: number, payload: import('../crypto/bytes.js').Bytes }} chunk
   */
  chunk(k, { fileId, index, payload }) {
    this.#list.get(fileId)?.chunk(k, index, payload);
  }

  /**
   * Takes an end_file.
   * @param {Connection} k
   * @param {ServerFrame} f
   */
  finish(k, f) {
    this.#list.get(f.fileId ?? '')?.end(k, f.hash ?? '');
  }

  /**
   * Takes a cancel_file or a file_error.
   * @param {Connection} k
   * @param {ServerFrame} f
   */
  refused(k, f) {
    this.#list.get(f.fileId ?? '')?.refused(k, f);
  }

  /**
   * Takes the files whose connection is down to the one that is up.
   * @param {Connection | null} k
   */
  move(k) {
    for (const t of this.#list.values()) t.move(k);
    if (!k) return;
    for (const { kept, h } of this.#kept.splice(0)) {
      const { fileId = '', topic = '' } = kept.init;
      const known = this.#error || this.#list.has(fileId) || this.#received.has(fileId) || this.#c.handler(topic) !== h;
      if (known) void kept.sink.abort(new FastPortError('closed', 'it came otherwise'));
      else this.#take(new Incoming(kept.init, k, kept), h);
    }
  }

  /** @param {Connection} k */
  pull(k) {
    for (const t of this.#list.values()) t.pull(k);
  }

  /** @param {string} topic */
  abortTopic(topic) {
    for (const t of this.#list.values()) if (t.offer.topic === topic) t.fail(new FastPortError('closed', 'the topic was unsubscribed'));
  }

  /**
   * Gives every file up, and waits at most so long until nothing of them is left.
   * @param {unknown} err
   * @param {number} ms
   */
  async abortAll(err, ms) {
    this.#error ??= err;
    for (const t of this.#list.values()) t.fail(err);
    if (ms > 0 && this.#running.size > 0) await within(Promise.all(this.#running), ms);
  }
}

/**
 * Takes this receiver out of a file.
 * @param {Connection} k
 * @param {string} fileId
 * @param {string} topic
 */
function leave(k, fileId, topic) {
  k.send({ type: 'cancel_file', fileId, topic });
}
