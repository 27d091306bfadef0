import { Deferred, abortable, pause, within } from './async.js';
import { Acks } from './acks.js';
import { Backoff, jitter } from './backoff.js';
import { Clock } from './clock.js';
import { Connection } from './connection.js';
import { bytesOf, utf8 } from './crypto/bytes.js';
import { KeyRing } from './crypto/keyring.js';
import { sealDevice } from './crypto/device.js';
import { fileCipher } from './crypto/file.js';
import { sealLegacy } from './crypto/legacy.js';
import { Sealer } from './crypto/message.js';
import { hashOf } from './crypto/sha256.js';
import { CloseCodes, FastPortError, asError, isFatal, refusal } from './errors.js';
import { Receivings } from './files/receiving.js';
import { Sending, Sendings } from './files/sending.js';
import { toMemory } from './files/sinks.js';
import { Chunks, openSource } from './files/source.js';
import { MAX_PAYLOAD, checkText, checkTopic, isUUID, newUUID, parseChunk } from './frames.js';
import { ANSWER_TIME, OwnIds, overlap } from './move.js';
import { settingsOf } from './options.js';
import { Outbox } from './outbox.js';
import { Requests } from './requests.js';
import { Subscriptions } from './subscriptions.js';

/** @typedef {import('./options.js').Options} Options */
/** @typedef {import('./frames.js').ServerFrame} ServerFrame */
/** @typedef {import('./subscriptions.js').Handler} Handler */
/** @typedef {import('./subscriptions.js').Message} Message */
/** @typedef {import('./outbox.js').Receipt} Receipt */

// How long a connection must have held for the backoff to start anew.
const STABLE = 10_000;

/**
 * One device on a fastPort server: it publishes, subscribes, sends and receives files, end to end encrypted, over one connection that mends
 * itself.
 *
 * `init` logs in. From then on the client keeps one connection up until `close`: it connects again with a jittered backoff, subscribes again,
 * sends again what was not acked, and goes on with half-sent files. Nothing is sealed before it is sent, so what waits offline goes out with a
 * fresh timestamp. Queues are bounded; a message is acked once its handler is done with it, and handed over once however often it comes.
 */
export class FastPort {
  #o;
  #keys;
  #clock = new Clock();
  #backoff;
  #places;
  #own = new OwnIds();
  #acks = new Acks();
  #requests;
  #subs;
  #outbox;
  #sending = new Sendings();
  #receiving;
  /** @type {import('./connection.js').Owner} */
  #owner;
  #ended = new AbortController();
  /** @type {Deferred<void>} resolves once everything has ended */
  #gone = new Deferred();
  /** @type {KeyRing | null} */
  #ring = null;
  /** @type {Sealer | null} */
  #sealer = null;
  /** @type {Connection | null} */
  #conn = null;
  /** @type {Connection | null} the one before, while it is still up: acks go there too */
  #retiring = null;
  /** @type {Promise<void>} resolves when the one before has been closed */
  #retired = Promise.resolve();
  /** @type {import('./connection.js').Login} of the last connection */
  #login = { clientId: '', resumed: false, topics: [], limits: null };
  /** @type {Promise<void> | null} */
  #init = null;
  /** @type {Promise<void> | null} */
  #closing = null;

  /** @param {Options & { aesKey: string | string[] }} options */
  constructor(options) {
    this.#o = settingsOf(options);
    this.#keys = options.aesKey;
    this.#places = { urls: this.#o.urls, at: Math.floor(Math.random() * this.#o.urls.length) };
    this.#backoff = new Backoff(this.#o.backoffMin, this.#o.backoffMax);
    const wake = () => this.#conn?.wake();
    this.#subs = new Subscriptions(this.#o, {
      ring: () => /** @type {KeyRing} */ (this.#ring),
      ack: (topic, id) => this.#ack(topic, id),
      own: (key) => this.#own.has(key),
      fault: (err) => this.#fault(err),
      subscribeAgain: (topic) => this.#requests.again(topic),
    });
    this.#requests = new Requests(wake, (topic, err) => this.#subs.refusedAgain(topic, err));
    this.#outbox = new Outbox(this.#o, (p) => this.#publishFrame(p), wake);
    this.#receiving = new Receivings({
      allowLegacy: this.#o.allowLegacy,
      ring: () => /** @type {KeyRing} */ (this.#ring),
      handler: (topic) => this.#subs.fileHandler(topic),
      isCurrent: (k) => this.#conn === k,
      fault: (err) => this.#fault(err),
    });
    this.#owner = {
      settings: this.#o,
      onFrame: (k, f) => this.#dispatch(k, f),
      onChunk: (k, frame) => {
        const chunk = parseChunk(frame);
        if (chunk) this.#receiving.chunk(k, chunk);
      },
      fill: (k) => this.#fill(k),
      tick: (k) => { if (this.#conn === k) this.#outbox.tick(); },
      fault: (err) => this.#fault(err),
    };
  }

  /**
   * Logs in, and resolves once the server has accepted. A wrong password or an unknown session (`unauthorized`), or a wrong key
   * (`key_mismatch`), fails at once and ends the client.
   * @returns {Promise<void>}
   */
  init() {
    return this.#init ??= this.#connect();
  }

  async #connect() {
    this.#throwIfClosed();
    try {
      this.#ring = await KeyRing.create(this.#o.sessionName, this.#keys);
      this.#sealer = new Sealer(this.#ring);
      const k = await this.#redial(this.#o.wait);
      this.#attach(k);
      void this.#run(k);
    } catch (err) {
      this.#end(asError(err));
      this.#gone.resolve();
      throw this.error;
    }
  }

  /**
   * Subscribes, and resolves once the server has confirmed: from then on every message that is acked to its publisher reaches the
   * handler. The subscription is made again with each new connection, until `unsubscribe` or `close`. Without a connection it waits.
   *
   * A failure goes to `onError` too, so that a call need not be awaited.
   * @param {string} topic
   * @param {Handler} handler
   * @param {{ signal?: AbortSignal }} [options]
   * @returns {Promise<void>}
   */
  get(topic, handler, { signal } = {}) {
    const done = typeof handler === 'function'
      ? this.#subscribe(topic, { handler }, signal)
      : Promise.reject(new FastPortError('bad_option', 'get: takes a topic and a function; messages() needs none'));
    done.catch((err) => this.#fault(err));
    return done;
  }

  /**
   * The messages of a topic, for a `for await` loop. A message is acked when the loop asks for the next one; leaving the loop unsubscribes.
   * @param {string} topic
   * @returns {AsyncGenerator<Message, void, void>}
   */
  async *messages(topic) {
    /** @type {Deferred<Message>} */
    let next = new Deferred();
    let taken = new Deferred();
    await this.#subscribe(topic, {
      handler: async (_text, _timestamp, m) => {
        next.resolve(m);
        await taken.promise;
      },
    });
    const ended = new Deferred();
    const stop = () => ended.resolve();
    this.#ended.signal.addEventListener('abort', stop);
    try {
      for (;;) {
        const m = await Promise.race([next.promise, ended.promise]);
        if (!m) return;
        yield m;
        next = new Deferred();
        taken.resolve();
        taken = new Deferred();
      }
    } finally {
      this.#ended.signal.removeEventListener('abort', stop);
      taken.reject(new FastPortError('closed', 'the loop was left'));
      if (!this.#ended.signal.aborted && !this.#closing) await this.unsubscribe(topic);
    }
  }

  /**
   * @param {string} topic
   * @param {{ handler?: Handler, files?: import('./files/receiving.js').FileHandler }} use
   * @param {AbortSignal} [signal]
   */
  async #subscribe(topic, use, signal) {
    this.#throwIfClosed();
    checkTopic(topic);
    if (!this.#subs.claim(topic, use)) throw new FastPortError('subscribed', `${topic} has a handler already`, { topic });
    try {
      await this.#requests.topic('subscribe', topic, signal);
    } catch (err) {
      const last = this.#subs.release(topic, use);
      if (last && signal?.aborted) this.#requests.topic('unsubscribe', topic).catch(() => {}); // the server may have it
      throw err;
    }
  }

  /**
   * Ends the topic's subscription, files included, and resolves once the server has confirmed; no call of the handler begins after this
   * call. A durable subscriber's messages on the topic are gone.
   * @param {string} topic
   * @returns {Promise<void>}
   */
  async unsubscribe(topic) {
    this.#throwIfClosed();
    this.#subs.remove(topic);
    this.#receiving.abortTopic(topic);
    await this.#requests.topic('unsubscribe', topic);
  }

  /**
   * Seals data and resolves once the server has acked it: from then on it reaches every durable subscriber of the topic. It is sent again
   * as long as that takes, over new connections too, under the same id. Calls that are not awaited go out in their order.
   *
   * It fails with `queue_full` where too much is not acked yet, with `no_answer` after `maxRetries`, and with the signal's reason; the message may
   * or may not have been delivered then. What the server refuses for good has the server's code.
   * @param {string} topic
   * @param {string | ArrayBuffer | ArrayBufferView} data bytes must not be changed before it resolves
   * @param {object} [options]
   * @param {string} [options.messageId] at most 64 bytes. Published again with the same id within 15 minutes, by this or a later process, the message
   *   is delivered to nobody anew. Default: a random UUID
   * @param {0 | 1} [options.qos] 0: for whoever is there now, never stored, never sent again by anyone. Default: 1
   * @param {AbortSignal} [options.signal]
   * @returns {Promise<Receipt>}
   */
  async emit(topic, data, { messageId = newUUID(), qos = 1, signal } = {}) {
    this.#throwIfClosed();
    checkTopic(topic);
    checkText('messageId', messageId, 64);
    if (typeof data !== 'string' && !(data instanceof ArrayBuffer) && !ArrayBuffer.isView(data)) {
      throw new FastPortError('bad_request', 'data: takes a text or bytes; an object goes as JSON.stringify(object)');
    }
    const payload = typeof data === 'string' ? utf8(data) : bytesOf(data);
    const limit = this.#login.limits?.maxPayload ?? MAX_PAYLOAD;
    if (4 * Math.ceil((payload.length + 64) / 3) + 1024 > limit) {
      throw new FastPortError('too_large', 'data: sealed, it is larger than the server takes; send it as a file', { topic });
    }
    signal?.throwIfAborted();
    const p = this.#outbox.add(topic, messageId, payload, qos);
    return abortable(p.done.promise, signal, () => {
      this.#outbox.abandon(p, signal?.reason);
    });
  }

  /**
   * Sends a file to those who are subscribed to the topic now, and resolves once all that stayed have it. It holds a window of it (4 MiB) in memory,
   * goes back where a receiver lost some, and goes on after a lost connection that is mended within 60 s. Without receivers it fails with
   * `no_receivers`.
   *
   * What can be read anywhere (a File, a Blob, bytes, a path) is read twice: once for the hash that travels sealed with the name. A stream is read
   * once, and can go back by a window's length.
   * @param {import('./files/source.js').FileSource} source a File or Blob, bytes, a stream, or on Node the path of a file
   * @param {string} topic
   * @param {object} [options]
   * @param {string} [options.name] needed where the source has none
   * @param {number} [options.size] bytes; needed for a stream
   * @param {string} [options.type] media type, sealed with the name
   * @param {string} [options.fileId] a UUID that was never used before. Default: random
   * @param {(p: import('./files/sending.js').FileProgress) => void} [options.onProgress]
   * @param {AbortSignal} [options.signal] cancels the transfer at its receivers
   * @returns {Promise<{ fileId: string, sha256: string }>} sha256 is empty where the source was read once
   */
  async sendFile(source, topic, { name, size, type, fileId = newUUID(), onProgress, signal } = {}) {
    this.#throwIfClosed();
    checkTopic(topic);
    if (!isUUID(fileId)) throw new FastPortError('bad_request', 'fileId: takes a UUID in its 36 characters');
    if (!this.#ring) throw new FastPortError('not_initialized', 'sendFile: call init first');
    const reader = await openSource(source, { name, size, type });
    const chunks = new Chunks(reader);
    /** @type {Sending | undefined} */
    let t;
    const abort = () => t?.fail(signal?.reason);
    try {
      const { suite } = this.#o;
      if (chunks.seekable && suite === 2) await chunks.digest(signal);
      const cipher = await fileCipher(this.#ring, fileId, suite);
      chunks.sealWith(cipher);
      const about = suite === 1 ? { fileName: reader.name }
        : { meta: await cipher.sealMeta({ name: reader.name, size: reader.size, type: reader.type, sha256: chunks.sha256 }) };
      const init = { type: 'init_file', fileId, topic, fileSize: reader.size, totalChunks: chunks.total, ...about };
      signal?.throwIfAborted();
      t = new Sending(init, chunks, reader.name, reader.size);
      signal?.addEventListener('abort', abort, { once: true });
      await this.#sending.run(t, this.#conn, onProgress);
      return { fileId, sha256: chunks.sha256 };
    } finally {
      signal?.removeEventListener('abort', abort);
      await reader.close();
    }
  }

  /**
   * Subscribes to the topic's files, as `get` does to its messages; a topic may have both. A file is handed over once it is whole and right. It goes on
   * after a lost connection, and is given up when nothing has come for 90 s; what fails goes to `onError`.
   *
   * By itself it keeps a file in memory, up to 32 MiB, and the handler gets a Uint8Array. `save` says where else files go: `toDirectory`,
   * `toBrowserStorage`, or a function of your own that takes the offer and returns a WritableStream or a FileSink, or null to decline.
   * @param {string} topic
   * @param {import('./files/receiving.js').FileTaker} handler
   * @param {object} [options]
   * @param {(offer: import('./files/incoming.js').FileOffer) => unknown} [options.save]
   * @param {(p: import('./files/sending.js').FileProgress) => void} [options.onProgress]
   * @param {AbortSignal} [options.signal] gives the subscribing up
   * @returns {Promise<void>}
   */
  onFile(topic, handler, { save = toMemory(), onProgress, signal } = {}) {
    const done = typeof handler === 'function'
      ? this.#subscribe(topic, { files: { handler, save, onProgress } }, signal)
      : Promise.reject(new FastPortError('bad_option', 'onFile: takes a topic and a function'));
    done.catch((err) => this.#fault(err));
    return done;
  }

  /**
   * Registers a push token for a user, sealed. It makes the client's subscriptions that user's, where the client has neither a clientId nor a userId.
   * @param {{ userId: string, fcmToken: string, deviceId: string, platform?: string }} device
   * @returns {Promise<void>}
   */
  registerFCMToken(device) {
    return this.#device('register_fcm_token', 'fcm_token_response', device);
  }

  /**
   * Forgets a device of a user.
   * @param {{ userId: string, deviceId: string, fcmToken?: string, platform?: string }} device
   * @returns {Promise<void>}
   */
  unregisterFCMToken(device) {
    return this.#device('unregister_fcm_token', 'fcm_unregister_response', device);
  }

  /**
   * @param {string} type
   * @param {string} want
   * @param {{ userId: string, deviceId: string, fcmToken?: string, platform?: string }} device
   */
  async #device(type, want, { userId, deviceId, fcmToken = '', platform = 'web' }) {
    this.#throwIfClosed();
    if (!this.#ring) throw new FastPortError('not_initialized', `${type}: call init first`);
    checkText('userId', userId, 128);
    checkText('deviceId', deviceId, 128);
    const encryptedData = await sealDevice(this.#ring, userId, { fcmToken, deviceId, platform });
    await this.#requests.do({ type, userId, encryptedData, hash: hashOf(encryptedData) }, want, userId);
  }

  /**
   * Lists a user's registered devices.
   * @param {string} userId
   * @returns {Promise<import('./frames.js').RegisteredDevice[]>}
   */
  async getRegisteredDevices(userId) {
    this.#throwIfClosed();
    checkText('userId', userId, 128);
    const answer = await this.#requests.do({ type: 'get_registered_devices', userId }, 'registered_devices_response', userId);
    return answer.devices ?? [];
  }

  /**
   * Waits until what was published is acked (unless the connection is down) and the handlers at work are done, sends the acks that are
   * due, and disconnects; files under way are cancelled. It takes no longer than `timeout` ms; what is not acked by then fails with `closed`.
   * @param {{ timeout?: number }} [options] Default: 5,000 ms
   * @returns {Promise<void>}
   */
  close({ timeout = 5000 } = {}) {
    return this.#closing ??= this.#close(timeout);
  }

  /** @param {number} timeout */
  async #close(timeout) {
    const end = performance.now() + timeout;
    const left = () => Math.max(0, end - performance.now());
    const closed = new FastPortError('closed', 'the client was closed');
    const k = this.#conn;
    if (k) {
      await within(Promise.race([this.#outbox.empty(), k.down.promise]), left());
      await this.#subs.stop(left());
      this.#sending.cancelAll(closed);
      await this.#receiving.abortAll(closed, left());
      await k.flush(left());
      await this.#conn?.shutdown(Math.min(1000, left()));
    }
    this.#end(closed);
    if (this.#init) await within(this.#gone.promise, Math.max(100, left()));
  }

  /** Is the connection up? */
  get connected() {
    return this.#conn !== null;
  }

  /** Why the client ended; null while it has not. */
  get error() {
    return this.#ended.signal.aborted ? /** @type {FastPortError} */ (this.#ended.signal.reason) : null;
  }

  /** The id that the server knows this client by; empty where there is none. */
  get clientId() {
    return this.#login.clientId;
  }

  /** What the session allows, as of the last login; null before the first. */
  get limits() {
    return this.#login.limits;
  }

  /** The server's clock as this client knows it, in ms. */
  now() {
    return this.#clock.now();
  }

  #throwIfClosed() {
    if (this.error) throw this.error;
    if (this.#closing) throw new FastPortError('closed', 'the client was closed');
  }

  /**
   * Keeps one connection up.
   * @param {Connection} k
   */
  async #run(k) {
    /** @type {Connection | null} */
    let at = k;
    while (at) {
      /** @type {Connection} */
      const old = at;
      const next = await this.#watch(old);
      if (next) {
        this.#attach(next);
        this.#retired = this.#retire(old, next);
      }
      at = next ?? await this.#replace(old);
    }
    await this.#retired;
    this.#gone.resolve();
  }

  /**
   * Waits until k is down (null), or has been replaced while it was still up.
   * @param {Connection} k
   */
  async #watch(k) {
    while (!k.isDown) {
      await Promise.race([k.down.promise, k.move.wait()]);
      if (k.isDown || this.error) break;
      const next = await this.#moveFrom(k);
      if (next) return next;
    }
    return null;
  }

  /**
   * Makes a new connection for one that is down. Null: the client has ended.
   * @param {Connection} k
   * @returns {Promise<Connection | null>}
   */
  async #replace(k) {
    this.#detach(k);
    let err = /** @type {Error} */ (k.error);
    const closeCode = err instanceof FastPortError ? err.closeCode : undefined;
    if (closeCode === CloseCodes.takenOver) {
      err = k.moving // by a connection of our own whose login was then lost
        ? new FastPortError('disconnected', 'connection lost while it moved')
        : new FastPortError('taken_over', 'a newer connection uses this clientId');
    }
    if (this.error || isFatal(err)) {
      this.#end(err);
      return null;
    }
    this.#fault(err);
    this.#state('disconnected');
    this.#skip();
    const b = this.#backoff;
    if (performance.now() - k.born > STABLE) b.reset();
    if (closeCode === CloseCodes.draining && !await pause(jitter(1000), this.#ended.signal)) return null; // many were told the same
    if (closeCode === CloseCodes.rateLimited || closeCode === CloseCodes.protocolError) b.failures = Math.max(b.failures, 3);
    if (!await pause(b.next(), this.#ended.signal)) return null;
    try {
      const next = await this.#redial(true);
      this.#attach(next);
      return next;
    } catch (cause) {
      this.#end(asError(cause));
      return null;
    }
  }

  /**
   * Dials until it succeeds or cannot; once only, unless again.
   * @param {boolean} again
   */
  async #redial(again) {
    for (;;) {
      try {
        return await this.#dial(null);
      } catch (err) {
        if (this.error) throw this.error;
        if (!again || isFatal(err)) throw err;
      }
      if (!await pause(this.#backoff.next(), this.#ended.signal)) throw this.error;
    }
  }

  /**
   * Connects and logs in, at the server whose turn it is, or, where that fails and a retry may help, at the first of the others that takes it.
   * @param {Connection | null} old the one whose place it is to take
   */
  async #dial(old) {
    /** @type {unknown} */
    let failed;
    for (const _ of this.#places.urls) {
      try {
        return await this.#dialAt(this.#places.urls[this.#places.at], old);
      } catch (err) {
        failed = err;
        if (this.error || isFatal(err)) break;
        this.#skip();
      }
    }
    throw failed;
  }

  #skip() {
    this.#places.at = (this.#places.at + 1) % this.#places.urls.length;
  }

  /**
   * @param {string} url
   * @param {Connection | null} old
   */
  async #dialAt(url, old) {
    const late = new FastPortError('no_answer', 'the server does not answer');
    const opening = Connection.open(this.#owner, url);
    if (!await within(opening, this.#o.connectTimeout)) {
      opening.then((k) => k.fail(late), () => {});
      throw late;
    }
    const k = await opening;
    const wasMoving = old?.moving ?? false;
    try {
      if (old) {
        await this.#settleOn(old);
        old.moving = true;
      }
      const answer = k.logIn();
      if (!await within(answer, this.#o.connectTimeout)) {
        answer.catch(() => {});
        throw late;
      }
      await this.#loggedIn(k, await answer);
      if (this.error) throw this.error;
      return k;
    } catch (err) {
      // The server has said that it did not log this one in.
      if (old && err instanceof FastPortError && err.code !== 'disconnected' && err.code !== 'no_answer') old.moving = wasMoving;
      k.fail(asError(err));
      throw err;
    }
  }

  /**
   * @param {Connection} k
   * @param {ServerFrame} f
   */
  async #loggedIn(k, f) {
    if (f.protocol !== 2) throw new FastPortError('unsupported', 'the server speaks version 1 only');
    if (f.keyCheck && !await this.#ring?.holds(f.keyCheck)) throw new FastPortError('key_mismatch', 'the key is not this session\'s');
    this.#clock.set(f.serverTime);
    k.login = { clientId: f.clientId ?? '', resumed: f.resumed ?? false, topics: f.topics ?? [], limits: f.limits ?? null };
  }

  /**
   * Makes k the connection, from which all goes out that waits or was not answered on the one before.
   * @param {Connection} k
   */
  #attach(k) {
    const old = this.#conn;
    this.#conn = k;
    this.#login = k.login;
    if (old) {
      old.fed = false;
      this.#retiring = old;
      if (!this.#o.clientId) k.held.begin();
    }
    if (this.#requests.restart(this.#subs.loggedIn(k.login))) k.settled.resolve();
    this.#outbox.restart();
    this.#moveFiles();
    k.fed = true;
    k.start();
    this.#state(old ? 'moved' : 'connected');
  }

  /** @param {Connection} k */
  #detach(k) {
    k.fed = false;
    if (this.#conn === k) this.#conn = null;
    this.#outbox.lost();
    this.#moveFiles();
  }

  /** Takes the files whose connection is down to the one that is up. */
  #moveFiles() {
    this.#sending.move(this.#conn);
    this.#receiving.move(this.#conn);
  }

  /**
   * Ends the client. The first call's error counts.
   * @param {Error} err
   */
  #end(err) {
    if (this.error) return;
    this.#ended.abort(err);
    this.#conn?.fail(err);
    this.#retiring?.fail(err);
    this.#outbox.fail(err);
    this.#requests.fail(err);
    this.#sending.cancelAll(err);
    void this.#receiving.abortAll(err, 0);
    void this.#subs.stop(0);
    this.#state('closed');
  }

  /**
   * Makes a new connection in the place of k while that is up. Null: k goes on, or is down.
   * @param {Connection} k
   */
  async #moveFrom(k) {
    await Promise.race([this.#retired, k.down.promise]); // two connections at a time are enough
    if (k.isDown) return null;
    this.#skip();
    try {
      return await this.#dial(k);
    } catch {
      this.#own.end();
      k.paused = false;
      k.wake();
      setTimeout(() => k.move.notify(), 500 + jitter(1000)); // the new connection failed, the old one goes on
      return null;
    }
  }

  /**
   * Lets no more publishes out over k and waits for the answers to those that are, so that few have to be sent again over the next connection.
   * @param {Connection} k
   */
  async #settleOn(k) {
    this.#own.begin();
    k.paused = true;
    await within(Promise.race([this.#outbox.quiet(), k.down.promise]), ANSWER_TIME);
    for (const key of this.#outbox.keys()) this.#own.add(key);
  }

  /**
   * Closes the old connection once the new one has its subscriptions, so that no message falls between them.
   * @param {Connection} old
   * @param {Connection} next
   */
  async #retire(old, next) {
    await overlap(old, next, this.#o.clientId !== '', this.#ended.signal);
    await old.shutdown();
    next.held.letGo((f) => this.#subs.deliver(f));
    if (this.#retiring === old) this.#retiring = null;
    this.#own.end();
    // Files stay with their connection: an ephemeral client's are found again only once it is gone.
    this.#moveFiles();
    next.wake();
  }

  /**
   * Sends a batch of what waits: requests, acks, messages, files.
   * @param {Connection} k
   */
  async #fill(k) {
    let any = false;
    if (k.fed) {
      any = this.#requests.pull(k);
      any = this.#acks.pull(k) || any;
      const may = () => k.fed && !k.paused && !k.isDown;
      if (may()) any = await this.#outbox.pull(k, may, (key) => this.#own.add(key)) || any;
    }
    any = k.acks.pull(k) || any;
    this.#receiving.pull(k);
    return this.#sending.pull(k) || any;
  }

  /**
   * Has a message acked, over the connection before too while it is up: its server waits for acks of its own.
   * @param {string} topic
   * @param {string} id
   */
  #ack(topic, id) {
    this.#acks.add(topic, id);
    this.#conn?.wake();
    this.#retiring?.acks.add(topic, id);
    this.#retiring?.wake();
  }

  /**
   * Seals a message for now. Its timestamp is fresh each time that it is sent, for the server refuses an old one.
   * @param {import('./outbox.js').Publication} p
   */
  async #publishFrame(p) {
    const ring = /** @type {KeyRing} */ (this.#ring);
    const timestamp = this.#clock.now();
    const head = {
      type: 'publish', messageId: p.id, topic: p.topic, timestamp, ...(p.qos === 0 && { qos: 0 }), ...(p.tries > 0 && { retry: true }),
    };
    if (this.#o.suite === 1) {
      const data = await sealLegacy(ring, p.payload);
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
        this.#outbox.acked(f);
        break;
      case 'publish_response':
        if (!f.success) this.#outbox.refused(f);
        break;
      case 'subscribe_response':
      case 'unsubscribe_response':
      case 'fcm_token_response':
      case 'fcm_unregister_response':
      case 'registered_devices_response':
        // What a connection before it answers is asked again.
        if (this.#conn === k && this.#requests.answer(f)) k.settled.resolve();
        break;
      case 'pong':
        this.#clock.set(f.serverTime);
        break;
      case 'init_file':
        this.#receiving.begin(k, f);
        break;
      case 'end_file':
        this.#receiving.finish(k, f);
        break;
      case 'cancel_file':
        this.#receiving.refused(k, f);
        break;
      case 'file_progress':
        this.#sending.progress(k, f);
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
      if (!this.#subs.knows(f)) {
        if (k.held.add(f)) return;
        k.held.letGo((held) => this.#subs.deliver(held));
      }
    }
    this.#subs.deliver(f);
  }

  /**
   * @param {Connection} k
   * @param {ServerFrame} f
   */
  #fileError(k, f) {
    if (!this.#sending.refused(k, f)) this.#receiving.refused(k, f);
  }

  /**
   * Takes an error frame: whatever it is about has failed.
   * @param {Connection} k
   * @param {ServerFrame} f
   */
  #refused(k, f) {
    if (f.fileId !== undefined) this.#fileError(k, f);
    else if (f.messageId !== undefined) this.#outbox.refused(f);
    else if (f.topic === undefined || !this.#requests.refused(f)) this.#fault(refusal(f));
  }

  /** @param {unknown} err */
  #fault(err) {
    if (this.error && err === this.error) return;
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
      this.#fault(err);
    }
  }
}
