import { Deferred, Signal, pause, within } from './async.js';
import { Acks } from './acks.js';
import { FastPortError, asError, refusal } from './errors.js';
import { Holding } from './move.js';
import { openSocket } from './socket.js';

/** @typedef {import('./frames.js').ServerFrame} ServerFrame */
/** @typedef {import('./frames.js').ClientFrame} ClientFrame */

/**
 * What the server said at init.
 * @typedef {object} Login
 * @property {string} clientId
 * @property {boolean} resumed
 * @property {string[]} topics
 * @property {import('./frames.js').Limits | null} limits
 */

/**
 * What a connection hands on and pulls from: the client.
 * @typedef {object} Owner
 * @property {import('./options.js').Settings} settings
 * @property {(k: Connection, f: ServerFrame) => void} onFrame
 * @property {(k: Connection, frame: ArrayBuffer) => void} onChunk
 * @property {(k: Connection) => Promise<boolean>} fill sends a batch of what waits. Resolves to true if there was something
 * @property {(k: Connection) => void} tick
 * @property {(err: unknown) => void} fault
 */

// How much may lie in the socket before nothing more is pulled: what waits can still be put in order, and is not copied.
const HIGH_WATER = 1 << 20;
// A socket that holds so much takes nothing any more.
const FLOOD = 64 << 20;
const POLL = 5; // ms between two looks at a full socket: browsers do not tell

/**
 * One WebSocket. What comes is handed on to the client; what goes out is pulled from where it waits, so that nothing is sealed before
 * it can go.
 */
export class Connection {
  /** @type {Login} */
  login = { clientId: '', resumed: false, topics: [], limits: null };
  born = performance.now();
  /** Gets what waits; false: another connection does. */
  fed = false;
  /** Publishes wait. */
  paused = false;
  /** One may have logged in that takes this one over. */
  moving = false;
  /** The server asks for a new connection. */
  move = new Signal();
  /** Acks that go over this connection besides the current one. */
  acks = new Acks();
  /** Resolves when the subscriptions are made again. */
  settled = new Deferred();
  /** Resolves with the reason when the connection is down. */
  down = /** @type {Deferred<Error>} */ (new Deferred());
  /** @type {Error | null} */
  error = null;
  replayed = 0; // when something last came that was read back from the store, while it holds

  #owner;
  #socket;
  #started = false;
  /** @type {(string | ArrayBuffer)[]} what came between the login and start */
  #early = [];
  #loggedIn = /** @type {Deferred<ServerFrame>} */ (new Deferred());
  #closed = new Deferred();
  #heard = performance.now();
  #pinged = -1; // what #heard was when a ping was sent
  #pingedAt = 0;
  /** @type {ReturnType<typeof setInterval> | undefined} */
  #ticker;
  #writing = false;
  #again = false;
  /** @type {Deferred[]} */
  #flushers = [];
  #shutting = false;

  /**
   * @param {Owner} owner
   * @param {WebSocket} socket
   */
  constructor(owner, socket) {
    this.#owner = owner;
    this.#socket = socket;
    this.held = new Holding();
    socket.onmessage = (e) => this.#receive(e.data);
    socket.onerror = () => {}; // a close follows, which says the same
    socket.onclose = (e) => {
      this.#closed.resolve();
      const code = e.code === 1005 || e.code === 1006 ? undefined : e.code;
      const how = code ? `closed by the server: ${code} ${e.reason}`.trimEnd() : 'lost';
      this.fail(this.#shutting ? new FastPortError('closed', 'the client was closed') : new FastPortError('disconnected', `connection ${how}`, { closeCode: code }));
    };
  }

  /**
   * Connects. Nothing is handed on before start.
   * @param {Owner} owner
   * @param {string} url
   * @returns {Promise<Connection>}
   */
  static async open(owner, url) {
    const socket = await openSocket(url, owner.settings.webSocket);
    const k = new Connection(owner, socket);
    const opened = new Promise((resolve) => { socket.onopen = resolve; });
    await Promise.race([opened, k.down.promise]);
    if (k.error) throw k.error;
    return k;
  }

  /**
   * Sends init, and returns the server's answer.
   * @returns {Promise<ServerFrame>}
   */
  async logIn() {
    const { sessionName, password, userId, clientId } = this.#owner.settings;
    this.send({ type: 'init', sessionName, password, ...(userId && { userId }), ...(clientId && { clientId }), protocol: 2 });
    const answer = await Promise.race([this.#loggedIn.promise, this.down.promise]);
    if (answer instanceof Error) throw answer;
    if (!answer.success) throw refusal(answer);
    return answer;
  }

  /** Begins to hand on and to write. */
  start() {
    this.#started = true;
    const { pingInterval, retryInterval } = this.#owner.settings;
    this.#ticker = setInterval(() => this.#tick(), Math.max(20, Math.min(1000, pingInterval, retryInterval)));
    for (const data of this.#early.splice(0)) this.#hand(data);
    this.wake();
  }

  get isDown() {
    return this.error !== null;
  }

  /**
   * Ends the connection. The first call's reason counts.
   * @param {Error} err
   */
  fail(err) {
    if (this.error) return;
    this.error = err;
    clearInterval(this.#ticker);
    this.down.resolve(err);
    for (const d of this.#flushers.splice(0)) d.resolve();
    const socket = /** @type {WebSocket & { terminate?: () => void }} */ (this.#socket);
    if (socket.terminate) socket.terminate(); // a close would wait for an answer that may never come
    else socket.close();
  }

  /**
   * Sends a frame now.
   * @param {ClientFrame} frame
   */
  send(frame) {
    this.#put(JSON.stringify(frame));
  }

  /** @param {import('./crypto/bytes.js').Bytes} frame */
  sendBinary(frame) {
    this.#put(frame);
  }

  /** @param {string | import('./crypto/bytes.js').Bytes} data */
  #put(data) {
    if (this.error || this.#shutting) return;
    if (this.#socket.bufferedAmount > FLOOD) {
      this.fail(new FastPortError('disconnected', 'the socket takes nothing'));
      return;
    }
    this.#socket.send(data);
  }

  /** Has the connection look for what there is to send. */
  wake() {
    this.#again = true;
    if (!this.#writing && this.#started) void this.#write();
  }

  async #write() {
    this.#writing = true;
    try {
      while (this.#again && !this.error) {
        this.#again = false;
        while (!this.error && await this.#room() && await this.#owner.fill(this)) {
          // as long as there is something
        }
      }
    } catch (err) {
      this.fail(asError(err));
    } finally {
      this.#writing = false;
    }
    if (this.#again && !this.error) return this.wake();
    for (const d of this.#flushers.splice(0)) d.resolve();
  }

  /** Waits until the socket has taken most of what it was given. */
  async #room() {
    while (!this.error && this.#socket.bufferedAmount > HIGH_WATER) await pause(POLL);
    return !this.error;
  }

  /**
   * Waits until all that waited is in the socket, at most so long.
   * @param {number} ms
   */
  async flush(ms) {
    if (this.error) return;
    const d = new Deferred();
    this.#flushers.push(d);
    this.wake();
    await within(d.promise, ms);
  }

  /**
   * Says goodbye and waits a moment for the answer.
   * @param {number} [ms]
   */
  async shutdown(ms = 1000) {
    if (this.error) return;
    this.#shutting = true;
    this.#socket.close(1000);
    await within(this.#closed.promise, ms);
    this.fail(new FastPortError('closed', 'the client was closed'));
  }

  #tick() {
    const { pingInterval, pongTimeout } = this.#owner.settings;
    const now = performance.now();
    if (this.#pinged === this.#heard) {
      if (now - this.#pingedAt > pongTimeout) {
        this.fail(new FastPortError('no_answer', 'no answer from the server'));
        return;
      }
    } else if (now - this.#heard > pingInterval) {
      this.#pinged = this.#heard;
      this.#pingedAt = now;
      this.send({ type: 'ping' });
    }
    this.#owner.tick(this);
    this.wake();
  }

  /** @param {string | ArrayBuffer} data */
  #receive(data) {
    if (this.error) return;
    this.#heard = performance.now();
    if (this.#started) this.#hand(data);
    else if (!this.#answersInit(data)) this.#early.push(data);
  }

  /** @param {string | ArrayBuffer} data */
  #answersInit(data) {
    const f = typeof data === 'string' ? this.#parse(data) : null;
    if (f?.type !== 'init_response' && f?.type !== 'error') return false;
    this.#loggedIn.resolve(f);
    return true;
  }

  /** @param {string | ArrayBuffer} data */
  #hand(data) {
    try {
      if (typeof data !== 'string') {
        this.#owner.onChunk(this, data);
        return;
      }
      const f = this.#parse(data);
      if (f) this.#owner.onFrame(this, f);
    } catch (err) {
      this.#owner.fault(err);
    }
  }

  /**
   * @param {string} data
   * @returns {ServerFrame | null}
   */
  #parse(data) {
    try {
      const f = JSON.parse(data);
      return typeof f === 'object' && f !== null && typeof f.type === 'string' ? f : null;
    } catch {
      return null;
    }
  }
}
