import { Deferred, pause, within } from './async.js';
import { Backoff, jitter } from './backoff.js';
import { Connection } from './connection.js';
import { CloseCodes, FastPortError, asError, isFatal } from './errors.js';
import { ANSWER_TIME, overlap } from './move.js';

/** @typedef {import('./frames.js').ServerFrame} ServerFrame */

/**
 * What happens with each connection: the client's part.
 * @typedef {object} Duties
 * @property {(k: Connection, answer: ServerFrame) => Promise<void>} onLogin looks at what the server answered to init; throws where it will not do
 * @property {(k: Connection, old: Connection | null) => void} onAttach k is the connection now, from which all goes out that waits or was not answered
 *   on the one before; old is that one where it is still up
 * @property {() => void} onDetach there is none now
 * @property {() => Promise<void>} onSettle a move is about to begin. Resolves once all that went out is answered
 * @property {() => void} onSettled the answers were waited for
 * @property {(next: Connection | null) => void} onRetired a move is over: the old connection is closed (next is the one that took its place), or the new one
 *   failed (null)
 * @property {() => void} onEnd the link has ended: see its error
 * @property {(err: unknown) => void} fault
 * @property {(state: import('./options.js').State) => void} state
 */

// How long a connection must have held for the backoff to start anew.
const STABLE = 10_000;
// How long a login that was given up may still be dealt with by a server that is busy.
const LATE_LOGIN = 60_000;

/**
 * Keeps one connection up, at the first of the servers that takes it, until it is ended or for a reason that trying again cannot mend.
 */
export class Link {
  /** @type {Connection | null} the one that is up */
  current = null;
  /** @type {Connection | null} the one before, while it is still up */
  retiring = null;
  /** Resolves once the link has ended and its connections are closed. */
  gone = new Deferred();

  #o;
  #owner;
  #duties;
  #ended = new AbortController();
  #urls;
  #at;
  #backoff;
  /** @type {number[]} when logins that were not answered were given up: each may yet take over the connection that was made in its stead, once */
  #unanswered = [];
  /** @type {Promise<void>} resolves when the one before has been closed */
  #retired = Promise.resolve();

  /**
   * @param {import('./connection.js').Owner} owner
   * @param {Duties} duties
   */
  constructor(owner, duties) {
    this.#o = owner.settings;
    this.#owner = owner;
    this.#duties = duties;
    this.#urls = this.#o.urls;
    this.#at = Math.floor(Math.random() * this.#urls.length);
    this.#backoff = new Backoff(this.#o.backoffMin, this.#o.backoffMax);
  }

  /** Is aborted when the link has ended, with the reason. */
  get signal() {
    return this.#ended.signal;
  }

  /** Why the link has ended, or null. */
  get error() {
    return this.signal.aborted ? /** @type {Error} */ (this.signal.reason) : null;
  }

  /** Connects, and resolves once a server has accepted the login. */
  async start() {
    try {
      const k = await this.#redial(this.#o.wait);
      this.#attach(k);
      void this.#run(k);
    } catch (err) {
      this.end(asError(err));
      this.gone.resolve();
      throw this.error;
    }
  }

  /**
   * Ends the link. The first call's error counts.
   * @param {Error} err
   */
  end(err) {
    if (this.error) return;
    this.#ended.abort(err);
    this.current?.fail(err);
    this.retiring?.fail(err);
    this.#duties.onEnd();
    this.#duties.state('closed');
  }

  /** @param {Connection} k */
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
    this.gone.resolve();
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
   * Makes a new connection for one that is down. Null: the link has ended.
   * @param {Connection} k
   * @returns {Promise<Connection | null>}
   */
  async #replace(k) {
    if (this.current === k) this.current = null;
    this.#duties.onDetach();
    let err = /** @type {Error} */ (k.error);
    const closeCode = err instanceof FastPortError ? err.closeCode : undefined;
    if (closeCode === CloseCodes.takenOver) {
      err = this.#tookOver() || k.moving // by a connection of our own whose login was then lost
        ? new FastPortError('disconnected', 'connection lost to an earlier login of this client')
        : new FastPortError('taken_over', 'a newer connection uses this clientId');
    }
    if (this.error || isFatal(err)) {
      this.end(err);
      return null;
    }
    this.#duties.fault(err);
    this.#duties.state('disconnected');
    this.#skip();
    const b = this.#backoff;
    if (performance.now() - k.born > STABLE) b.reset();
    if (closeCode === CloseCodes.draining && !await pause(jitter(1000), this.signal)) return null; // many were told the same
    if (closeCode === CloseCodes.rateLimited || closeCode === CloseCodes.protocolError) b.failures = Math.max(b.failures, 3);
    if (!await pause(b.next(), this.signal)) return null;
    try {
      const next = await this.#redial(true);
      this.#attach(next);
      return next;
    } catch (cause) {
      this.end(asError(cause));
      return null;
    }
  }

  /** Those that a server may still deal with. */
  #lateLogins() {
    return this.#unanswered.filter((at) => performance.now() - at < LATE_LOGIN);
  }

  /** May the newer connection be a login of our own? Then that is told. */
  #tookOver() {
    const [first, ...rest] = this.#lateLogins();
    this.#unanswered = rest;
    return first !== undefined;
  }

  /** @param {Connection} k */
  #attach(k) {
    const old = this.current;
    this.current = k;
    if (old) this.retiring = old;
    this.#duties.onAttach(k, old);
    k.start();
    this.#duties.state(old ? 'moved' : 'connected');
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
      if (!await pause(this.#backoff.next(), this.signal)) throw this.error;
    }
  }

  /**
   * Connects and logs in, at the server whose turn it is, or, where that fails and a retry may help, at the first of the others that takes it.
   * @param {Connection | null} old the one whose place it is to take
   */
  async #dial(old) {
    /** @type {unknown} */
    let failed;
    for (const _ of this.#urls) {
      try {
        return await this.#dialAt(this.#urls[this.#at], old);
      } catch (err) {
        failed = err;
        if (this.error || isFatal(err)) break;
        this.#skip();
      }
    }
    throw failed;
  }

  /** Gives the next server its turn. */
  #skip() {
    this.#at = (this.#at + 1) % this.#urls.length;
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
      await this.#duties.onLogin(k, await answer);
      if (this.error) throw this.error;
      return k;
    } catch (err) {
      const refused = err instanceof FastPortError && err.code !== 'disconnected' && err.code !== 'no_answer'; // the server has not logged this one in
      if (!refused) this.#unanswered = [...this.#lateLogins(), performance.now()];
      // A login that could not be finished may have closed the old connection before.
      const tried = refused && (err.code === 'unavailable' || err.code === 'internal');
      if (old && refused && !tried) old.moving = wasMoving;
      k.fail(asError(err));
      throw err;
    }
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
      this.#duties.onRetired(null);
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
    k.paused = true;
    await within(Promise.race([this.#duties.onSettle(), k.down.promise]), ANSWER_TIME);
    this.#duties.onSettled();
  }

  /**
   * Closes the old connection once the new one has its subscriptions, so that no message falls between them.
   * @param {Connection} old
   * @param {Connection} next
   */
  async #retire(old, next) {
    await overlap(old, next, this.#o.clientId !== '', this.signal);
    await old.shutdown();
    if (this.retiring === old) this.retiring = null;
    this.#duties.onRetired(next);
    next.wake();
  }
}
