import { Deferred, abortable } from './async.js';
import { refusal } from './errors.js';

/** @typedef {import('./frames.js').ClientFrame} ClientFrame */
/** @typedef {import('./frames.js').ServerFrame} ServerFrame */

/**
 * A frame that the server answers by one of its own, with the same topic or user.
 * @typedef {object} Request
 * @property {ClientFrame} frame
 * @property {string} want the answer's type
 * @property {string} about topic or userId
 * @property {boolean} again a subscription made again with a new connection
 * @property {boolean} sent on this connection
 * @property {Deferred<ServerFrame>} done
 */

/**
 * The requests that were not answered yet. They are sent again with each new connection. Each belongs to a call that waits for it, or to
 * a subscription, so that there are no more than of these.
 */
export class Requests {
  /** @type {Request[]} */
  #list = [];
  /** @type {unknown} the client has ended */
  #error = null;
  #wake;
  #refusedAgain;

  /**
   * @param {() => void} wake
   * @param {(topic: string, err: import('./errors.js').FastPortError) => void} refusedAgain
   */
  constructor(wake, refusedAgain) {
    this.#wake = wake;
    this.#refusedAgain = refusedAgain;
  }

  /**
   * Sends a request and waits for its answer.
   * @param {ClientFrame} frame
   * @param {string} want
   * @param {string} about
   * @param {AbortSignal} [signal]
   * @returns {Promise<ServerFrame>}
   */
  async do(frame, want, about, signal) {
    if (this.#error) throw this.#error;
    signal?.throwIfAborted();
    const q = request(frame, want, about, false);
    this.#list.push(q);
    this.#wake();
    return abortable(q.done.promise, signal, () => { this.#list = this.#list.filter((other) => other !== q); });
  }

  /**
   * Subscribes to a topic, or unsubscribes.
   * @param {'subscribe' | 'unsubscribe'} type
   * @param {string} topic
   * @param {AbortSignal} [signal]
   */
  topic(type, topic, signal) {
    return this.do({ type, topic }, type + '_response', topic, signal);
  }

  /**
   * Subscribes to a topic without anyone waiting.
   * @param {string} topic
   */
  again(topic) {
    if (this.#error) return;
    this.#list.push(subscribeAgain(topic));
    this.#wake();
  }

  /**
   * Puts the topics to be subscribed again in front of all that was not answered. True: there are none.
   * @param {string[]} topics
   */
  restart(topics) {
    const rest = this.#list.filter((q) => !q.again);
    for (const q of rest) q.sent = false;
    this.#list = [...topics.map(subscribeAgain), ...rest];
    return topics.length === 0;
  }

  /**
   * Sends what was not sent yet. True: there was something.
   * @param {import('./connection.js').Connection} k
   */
  pull(k) {
    let any = false;
    for (const q of this.#list) {
      if (q.sent) continue;
      q.sent = any = true;
      k.send(q.frame);
    }
    return any;
  }

  /**
   * Settles the request that f answers: answers come in the order of requests. True: no subscription is waiting to be made again any more.
   * @param {ServerFrame} f
   */
  answer(f) {
    const about = f.topic ?? f.userId;
    this.#settle(f, (q) => q.want === f.type && q.about === about);
    return !this.#list.some((q) => q.again);
  }

  /**
   * Settles the request that an error frame with a topic is about. False: there is none.
   * @param {ServerFrame} f
   */
  refused(f) {
    return this.#settle(f, (q) => q.about === f.topic);
  }

  /**
   * @param {ServerFrame} f
   * @param {(q: Request) => boolean} is
   */
  #settle(f, is) {
    const at = this.#list.findIndex((q) => q.sent && is(q));
    if (at < 0) return false;
    const [q] = this.#list.splice(at, 1);
    if (f.success) {
      q.done.resolve(f);
    } else if (q.again) {
      this.#refusedAgain(q.about, refusal(f));
    } else {
      q.done.reject(refusal(f));
    }
    return true;
  }

  /**
   * Ends all requests, and all that come.
   * @param {unknown} err
   */
  fail(err) {
    this.#error ??= err;
    for (const q of this.#list) if (!q.again) q.done.reject(err);
    this.#list = [];
  }
}

/**
 * @param {ClientFrame} frame
 * @param {string} want
 * @param {string} about
 * @param {boolean} again
 * @returns {Request}
 */
const request = (frame, want, about, again) => ({ frame, want, about, again, sent: false, done: new Deferred() });

/** @param {string} topic */
const subscribeAgain = (topic) => request({ type: 'subscribe', topic }, 'subscribe_response', topic, true);
