import { Acks } from './acks.js';
import { within } from './async.js';
import { Clock } from './clock.js';
import { KeyRing } from './crypto/keyring.js';
import { sealLegacy } from './crypto/legacy.js';
import { Sealer } from './crypto/message.js';
import { hashOf } from './crypto/sha256.js';
import { FastPortError, asError, refusal } from './errors.js';
import { Receivings } from './files/receiving.js';
import { Sendings } from './files/sending.js';
import { parseChunk } from './frames.js';
import { Link } from './link.js';
import { OwnIds } from './move.js';
import { Outbox } from './outbox.js';
import { Requests } from './requests.js';
import { Subscriptions } from './subscriptions.js';

/** @typedef {import('./connection.js').Connection} Connection */
/** @typedef {import('./frames.js').ServerFrame} ServerFrame */

/**
 * What a client is made of, and what goes from part to part: a link that keeps a connection up, and the messages, subscriptions, requests and
 * files that go over it.
 */
export class Core {
  clock = new Clock();
  sending = new Sendings();
  /** @type {import('./connection.js').Login} of the last connection */
  login = { clientId: '', resumed: false, topics: [], limits: null };
  suite;
  /** @type {KeyRing | null} */
  #ring = null;
  /** @type {Sealer | null} */
  #sealer = null;
  #o;
  #keys;
  #own = new OwnIds();
  #started = false;
  #acks = new Acks();

  /**
   * @param {import('./options.js').Settings} o
   * @param {string | string[]} aesKey
   */
  constructor(o, aesKey) {
    this.#o = o;
    this.suite = o.suite;
    this.#keys = aesKey;
    const fault = (/** @type {unknown} */ err) => this.fault(err);
    const ring = () => this.ring;
    const wake = () => this.link.current?.wake();
    this.subs = new Subscriptions(o, {
      ring, fault,
      ack: (topic, id) => this.#ack(topic, id),
      own: (key) => this.#own.has(key),
      subscribeAgain: (topic) => this.requests.again(topic),
    });
    this.requests = new Requests(wake, (topic, err) => this.subs.refusedAgain(topic, err));
    this.outbox = new Outbox(o, (p) => this.#publishFrame(p), wake);
    this.receiving = new Receivings({
      ring, fault,
      allowLegacy: o.allowLegacy,
      handler: (topic) => this.subs.fileHandler(topic),
      clientId: o.clientId,
      current: () => this.link.current,
    });
    this.link = new Link({
      settings: o, fault,
      onFrame: (k, f) => this.#dispatch(k, f),
      onChunk: (k, frame) => {
        const chunk = parseChunk(frame);
        if (chunk) this.receiving.chunk(k, chunk);
      },
      fill: (k) => this.#fill(k),
      tick: (k) => { if (this.link.current === k) this.outbox.tick(); },
    }, {
      fault,
      state: (state) => this.#state(state),
      onLogin: (k, f) => this.#loggedIn(k, f),
      onAttach: (k, old) => this.#attach(k, old),
      onDetach: () => {
        this.outbox.lost();
        this.#moveFiles();
      },
      onSettle: () => {
        this.#own.begin();
        return this.outbox.quiet();
      },
      onSettled: () => { for (const key of this.outbox.keys()) this.#own.add(key); },
      onRetired: (next) => {
        next?.held.letGo((f) => this.subs.deliver(f));
        this.#own.end();
        // Files stay with their connection: an ephemeral client's are found again only once it is gone.
        this.#moveFiles();
      },
      onEnd: () => this.#end(),
    });
  }

  /** The session's keys. Before start there are none. */
  get ring() {
    if (!this.#ring) throw new FastPortError('not_initialized', 'call init first');
    return this.#ring;
  }

  /** Logs in. */
  async start() {
    this.#started = true;
    try {
      this.#ring = await KeyRing.create(this.#o.sessionName, this.#keys);
      this.#sealer = new Sealer(this.#ring);
    } catch (err) {
      this.link.end(asError(err));
      this.link.gone.resolve();
      throw this.link.error;
    }
    await this.link.start();
  }

  /**
   * @param {Connection} k
   * @param {ServerFrame} f
   */
  async #loggedIn(k, f) {
    if (f.protocol !== 2) throw new FastPortError('unsupported', 'the server speaks version 1 only');
    if (f.keyCheck && !await this.ring.holds(f.keyCheck)) throw new FastPortError('key_mismatch', 'the key is not this session\'s');
    this.clock.set(f.serverTime);
    k.login = { clientId: f.clientId ?? '', resumed: f.resumed ?? false, topics: f.topics ?? [], limits: f.limits ?? null };
  }

  /**
   * Waits until all is done that can be, says goodbye, and ends; all of it in about so long.
   * @param {number} timeout ms
   */
  async close(timeout) {
    const end = performance.now() + timeout;
    const left = () => Math.max(0, end - performance.now());
    const closed = new FastPortError('closed', 'the client was closed');
    const k = this.link.current;
    if (k) {
      await within(Promise.race([this.outbox.empty(), k.down.promise]), left());
      await this.subs.stop(left());
      this.sending.cancelAll(closed);
      await this.receiving.abortAll(closed, left());
      await k.flush(left());
      await this.link.current?.shutdown(Math.min(1000, left()));
    }
    this.link.end(closed);
    if (this.#started) await within(this.link.gone.promise, Math.max(100, left()));
  }

  /**
   * @param {Connection} k
   * @param {Connection | null} old
   */
  #attach(k, old) {
    this.login = k.login;
    if (old) {
      old.fed = false;
      if (!this.#o.clientId) k.held.begin();
    }
    if (this.requests.restart(this.subs.loggedIn(k.login))) k.settled.resolve();
    this.outbox.restart();
    this.#moveFiles();
    k.fed = true;
  }

  /** Takes the files whose connection is down to the one that is up. */
  #moveFiles() {
    this.sending.move(this.link.current);
    this.receiving.move(this.link.current);
  }

  #end() {
    const err = this.link.error;
    this.outbox.fail(err);
    this.requests.fail(err);
    this.sending.cancelAll(err);
    void this.receiving.abortAll(err, 0);
    void this.subs.stop(0);
  }

  /**
   * Sends a batch of what waits: requests, acks, messages, files.
   * @param {Connection} k
   */
  async #fill(k) {
    let any = false;
    if (k.fed) {
      any = this.requests.pull(k);
      any = this.#acks.pull(k) || any;
      const may = () => k.fed && !k.paused && !k.isDown;
      if (may()) any = await this.outbox.pull(k, may, (key) => this.#own.add(key)) || any;
    }
    any = k.acks.pull(k) || any;
    this.receiving.pull(k);
    return this.sending.pull(k) || any;
  }

  /**
   * Has a message acked, over the connection before too while it is up: its server waits for acks of its own.
   * @param {string} topic
   * @param {string} id
   */
  #ack(topic, id) {
    this.#acks.add(topic, id);
    this.link.current?.wake();
    this.link.retiring?.acks.add(topic, id);
    this.link.retiring?.wake();
  }

  /**
   * Seals a message for now. Its timestamp is fresh each time that it is sent, for the server refuses an old one.
   * @param {import('./outbox.js').Publication} p
   */
  async #publishFrame(p) {
    const timestamp = this.clock.now();
    const head = {
      type: 'publish', messageId: p.id, topic: p.topic, timestamp, ...(p.qos === 0 && { qos: 0 }), ...(p.tries > 0 && { retry: true }),
    };
    if (this.#o.suite === 1) {
      const data = await sealLegacy(this.ring, p.payload);
      return { ...head, hash: hashOf(data), data };
    }
    const sealer = /** @type {Sealer} */ (this.#sealer);
    return { ...head, data: await sealer.seal({ topic: p.topic, messageId: p.id, timestamp }, p.payload) };
  }

  /**
   * Hands on one frame.
   * @param {Connection} k
   * @param {ServerFrame} f
   */
  #dispatch(k, f) {
    switch (f.type) {
      case 'message':
        this.#message(k, f);
        break;
      case 'ack_received':
        this.outbox.acked(f);
        break;
      case 'publish_response':
        if (!f.success) this.outbox.refused(f);
        break;
      case 'subscribe_response':
      case 'unsubscribe_response':
      case 'fcm_token_response':
      case 'fcm_unregister_response':
      case 'registered_devices_response':
        // What a connection before it answers is asked again.
        if (this.link.current === k && this.requests.answer(f)) k.settled.resolve();
        break;
      case 'pong':
        this.clock.set(f.serverTime);
        break;
      case 'init_file':
        this.receiving.begin(k, f);
        break;
      case 'end_file':
        this.receiving.finish(k, f);
        break;
      case 'cancel_file':
        this.receiving.refused(k, f);
        break;
      case 'file_progress':
        this.sending.progress(k, f);
        break;
      case 'file_error':
        this.#fileError(k, f);
        break;
      case 'reconnect':
        setTimeout(() => k.move.notify(), f.afterMs ?? 0);
        break;
      case 'error':
        this.#refused(k, f);
        break;
    }
  }

  /**
   * @param {Connection} k
   * @param {ServerFrame} f
   */
  #message(k, f) {
    if (k.held.isOn) {
      if (f.replay) k.replayed = performance.now();
      if (!this.subs.knows(f)) {
        if (k.held.add(f)) return;
        k.held.letGo((held) => this.subs.deliver(held));
      }
    }
    this.subs.deliver(f);
  }

  /**
   * @param {Connection} k
   * @param {ServerFrame} f
   */
  #fileError(k, f) {
    if (!this.sending.refused(k, f)) this.receiving.refused(k, f);
  }

  /**
   * Takes an error frame: whatever it is about has failed.
   * @param {Connection} k
   * @param {ServerFrame} f
   */
  #refused(k, f) {
    if (f.fileId !== undefined) this.#fileError(k, f);
    else if (f.messageId !== undefined) this.outbox.refused(f);
    else if (f.topic === undefined || !this.requests.refused(f)) this.fault(refusal(f));
  }

  /**
   * Tells the application what no call returns.
   * @param {unknown} err
   */
  fault(err) {
    if (this.link.error && err === this.link.error) return;
    try {
      this.#o.onError(asError(err));
    } catch {
      // what a callback throws is nobody's to catch
    }
  }

  /** @param {import('./options.js').State} state */
  #state(state) {
    try {
      this.#o.onState(state);
    } catch (err) {
      this.fault(err);
    }
  }
}
