import { Deferred, abortable } from './async.js';
import { Core } from './core.js';
import { bytesOf, utf8 } from './crypto/bytes.js';
import { sealDevice } from './crypto/device.js';
import { fileCipher } from './crypto/file.js';
import { hashOf } from './crypto/sha256.js';
import { FastPortError } from './errors.js';
import { Sending } from './files/sending.js';
import { toMemory } from './files/sinks.js';
import { Chunks, changed, openSource } from './files/source.js';
import { MAX_PAYLOAD, checkText, checkTopic, isUUID, newUUID } from './frames.js';
import { settingsOf } from './options.js';

/** @typedef {import('./options.js').Options} Options */
/** @typedef {import('./subscriptions.js').Handler} Handler */
/** @typedef {import('./subscriptions.js').Message} Message */
/** @typedef {import('./outbox.js').Receipt} Receipt */

/**
 * One device on a fastPort server: it publishes, subscribes, sends and receives files, end to end encrypted, over one connection that mends
 * itself.
 *
 * `init` logs in. From then on the client keeps one connection up until `close`: it connects again with a jittered backoff, subscribes again,
 * sends again what was not acked, and goes on with half-sent files. Nothing is sealed before it is sent, so what waits offline goes out with a
 * fresh timestamp. Queues are bounded; a message is acked once its handler is done with it, and handed over once however often it comes.
 */
export class FastPort {
  #core;
  /** @type {Promise<void> | null} */
  #init = null;
  /** @type {Promise<void> | null} */
  #closing = null;

  /** @param {Options} options */
  constructor(options) {
    this.#core = new Core(settingsOf(options), options.aesKey);
  }

  /**
   * Logs in, and resolves once the server has accepted. A wrong password or an unknown session (`unauthorized`), or a wrong key
   * (`key_mismatch`), fails at once and ends the client.
   * @returns {Promise<void>}
   */
  async init() {
    this.#throwIfClosed();
    return this.#init ??= this.#core.start();
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
    done.catch((err) => this.#core.fault(err));
    return done;
  }

  /**
   * The messages of a topic, for a `for await` loop. A message is acked when the loop asks for the next one; leaving the loop acks the last one and
   * unsubscribes.
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
    const over = new Deferred();
    const stop = () => over.resolve();
    this.#core.link.signal.addEventListener('abort', stop);
    try {
      for (;;) {
        const m = await Promise.race([next.promise, over.promise]);
        if (!m) return;
        yield m;
        next = new Deferred();
        taken.resolve();
        taken = new Deferred();
      }
    } finally {
      this.#core.link.signal.removeEventListener('abort', stop);
      const ended = this.error || this.#closing ? null : this.unsubscribe(topic); // before the last message is let go: no other comes then
      taken.resolve();
      await ended;
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
    if (!this.#core.subs.claim(topic, use)) throw new FastPortError('subscribed', `${topic} has a handler already`, { topic });
    const { files } = use;
    if (files) this.#core.receiving.takeUp(topic, files).catch((err) => this.#core.fault(err));
    try {
      await this.#core.requests.topic('subscribe', topic, signal);
    } catch (err) {
      const last = this.#core.subs.release(topic, use);
      if (last && signal?.aborted) this.#core.requests.topic('unsubscribe', topic).catch(() => {}); // the server may have it
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
    this.#core.subs.remove(topic);
    this.#core.receiving.abortTopic(topic);
    await this.#core.requests.topic('unsubscribe', topic);
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
    const limit = this.#core.login.limits?.maxPayload ?? MAX_PAYLOAD;
    if (4 * Math.ceil((payload.length + 64) / 3) + 1024 > limit) {
      throw new FastPortError('too_large', 'data: sealed, it is larger than the server takes; send it as a file', { topic });
    }
    signal?.throwIfAborted();
    const p = this.#core.outbox.add(topic, messageId, payload, qos);
    return abortable(p.done.promise, signal, () => {
      this.#core.outbox.abandon(p, signal?.reason);
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
   * @param {string} [options.sha256] with the fileId of a file that an earlier process had begun to send on this topic: it goes on, where its receivers
   *   stand, if this is the hash of its content (in hex, as progress told it); any other content is `source_changed`. The client must have the clientId
   *   that it had. After a minute the receivers have given up, and it begins anew
   * @param {(p: import('./files/sending.js').FileProgress) => void} [options.onProgress]
   * @param {AbortSignal} [options.signal] cancels the transfer at its receivers
   * @returns {Promise<{ fileId: string, sha256: string }>} sha256 is empty where the source was read once
   */
  async sendFile(source, topic, { name, size, type, fileId = newUUID(), sha256, onProgress, signal } = {}) {
    this.#throwIfClosed();
    checkTopic(topic);
    if (!isUUID(fileId)) throw new FastPortError('bad_request', 'fileId: takes a UUID in its 36 characters');
    const { ring } = this.#core;
    const reader = await openSource(source, { name, size, type });
    const chunks = new Chunks(reader);
    /** @type {Sending | undefined} */
    let t;
    const abort = () => t?.fail(signal?.reason);
    try {
      const { suite } = this.#core;
      if (chunks.seekable && suite === 2) await chunks.digest(signal);
      if (sha256 !== undefined && sha256 !== chunks.sha256) throw changed();
      const cipher = await fileCipher(ring, fileId, suite);
      chunks.sealWith(cipher);
      const about = suite === 1 ? { fileName: reader.name }
        : { meta: await cipher.sealMeta({ name: reader.name, size: reader.size, type: reader.type, sha256: chunks.sha256 }) };
      const init = { type: 'init_file', fileId, topic, fileSize: reader.size, totalChunks: chunks.total, ...about };
      signal?.throwIfAborted();
      t = new Sending(init, chunks, reader.name, reader.size, sha256 !== undefined);
      signal?.addEventListener('abort', abort, { once: true });
      await this.#core.sending.run(t, this.#core.link.current, onProgress);
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
   * @param {import('./files/incoming.js').Save} [options.save]
   * @param {(p: import('./files/sending.js').FileProgress) => void} [options.onProgress]
   * @param {AbortSignal} [options.signal] gives the subscribing up
   * @returns {Promise<void>}
   */
  onFile(topic, handler, { save = toMemory(), onProgress, signal } = {}) {
    const done = typeof handler === 'function'
      ? this.#subscribe(topic, { files: { handler, save, onProgress } }, signal)
      : Promise.reject(new FastPortError('bad_option', 'onFile: takes a topic and a function'));
    done.catch((err) => this.#core.fault(err));
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
    checkText('userId', userId, 128);
    checkText('deviceId', deviceId, 128);
    const encryptedData = await sealDevice(this.#core.ring, userId, { fcmToken, deviceId, platform });
    await this.#core.requests.do({ type, userId, encryptedData, hash: hashOf(encryptedData) }, want, userId);
  }

  /**
   * Lists a user's registered devices.
   * @param {string} userId
   * @returns {Promise<import('./frames.js').RegisteredDevice[]>}
   */
  async getRegisteredDevices(userId) {
    this.#throwIfClosed();
    checkText('userId', userId, 128);
    const answer = await this.#core.requests.do({ type: 'get_registered_devices', userId }, 'registered_devices_response', userId);
    return answer.devices ?? [];
  }

  /**
   * Waits until what was published is acked (unless the connection is down) and the handlers at work are done, sends the acks that are
   * due, and disconnects; files under way are cancelled. It takes no longer than `timeout` ms; what is not acked by then fails with `closed`.
   * @param {{ timeout?: number }} [options] Default: 5,000 ms
   * @returns {Promise<void>}
   */
  close({ timeout = 5000 } = {}) {
    return this.#closing ??= this.#core.close(timeout);
  }

  /** Is the connection up? */
  get connected() {
    return this.#core.link.current !== null;
  }

  /** Why the client ended; null while it has not. */
  get error() {
    return /** @type {FastPortError | null} */ (this.#core.link.error);
  }

  /** The id that the server knows this client by; empty where there is none. */
  get clientId() {
    return this.#core.login.clientId;
  }

  /** What the session allows, as of the last login; null before the first. */
  get limits() {
    return this.#core.login.limits;
  }

  /** The server's clock as this client knows it, in ms. */
  now() {
    return this.#core.clock.now();
  }

  #throwIfClosed() {
    if (this.error) throw this.error;
    if (this.#closing) throw new FastPortError('closed', 'the client was closed');
  }
}
