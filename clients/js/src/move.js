// A move to another connection while the old one is still up, because its node is about to stop (docs/protocol.md, 5.1).
//
// The server takes a clientId's old connection over with the new one's login, and gives everyone else both until this client closes the old
// one. In between a message may come over each, which the dedupe makes one, and what is published over one comes back over the other. So that all
// comes in order, too, what the new connection brings waits until the old one is closed: what the new one lacks (it came to the
// node before the new one was there, or another connection of the user has acked it) comes over the old one.

import { within } from './async.js';
import { MAX_IN_FLIGHT } from './frames.js';

/** @typedef {import('./connection.js').Connection} Connection */
/** @typedef {import('./frames.js').ServerFrame} ServerFrame */

/** How long a move waits for the answers to what was published over the old connection. */
export const ANSWER_TIME = 1000;
// How long the old connection is kept while the new one subscribes, and again while that catches up.
const HANDOVER = 5000;
// How long it is kept after that: its node may be that far behind the new one's.
const OVERLAP = 1000;
// Of more, the old one is too far behind to be waited for.
const MAX_HELD = 16 * MAX_IN_FLIGHT;

/** What a new connection has brought while the old one was still there. */
export class Holding {
  #on = false;
  /** @type {ServerFrame[]} */
  #list = [];

  get isOn() {
    return this.#on;
  }

  /** Has messages wait until letGo. */
  begin() {
    this.#on = true;
  }

  /**
   * Keeps a message back. False: there are too many.
   * @param {ServerFrame} f
   */
  add(f) {
    if (this.#list.length >= MAX_HELD) return false;
    this.#list.push(f);
    return true;
  }

  /**
   * Hands on what was held, and holds no more.
   * @param {(f: ServerFrame) => void} deliver
   */
  letGo(deliver) {
    this.#on = false;
    for (const f of this.#list.splice(0)) deliver(f);
  }
}

/**
 * What this client publishes while it has two connections: over one comes back what the other published. It grows for as long as
 * that lasts, a few seconds.
 */
export class OwnIds {
  /** @type {Set<string> | null} */
  #ids = null;

  begin() {
    this.#ids ??= new Set();
  }

  end() {
    this.#ids = null;
  }

  /** @param {string} key */
  add(key) {
    this.#ids?.add(key);
  }

  /** @param {string} key */
  has(key) {
    return this.#ids?.has(key) ?? false;
  }
}

/**
 * Waits until the old connection may be closed: the new one has its subscriptions, and what it reads back has come.
 * @param {Connection} old
 * @param {Connection} next
 * @param {boolean} takenOver the server closes the old one itself: there is a clientId
 * @param {AbortSignal} signal
 */
export async function overlap(old, next, takenOver, signal) {
  await within(Promise.race([next.settled.promise, old.down.promise, next.down.promise]), HANDOVER);
  if (takenOver) return;
  // What one connection of a user acks is not replayed to the others: they have it live or not at all.
  const begun = performance.now();
  while (!old.isDown && !next.isDown && !signal.aborted && performance.now() - begun < HANDOVER) {
    const quiet = OVERLAP - (performance.now() - Math.max(begun, next.replayed));
    if (quiet <= 0) return;
    await within(Promise.race([old.down.promise, next.down.promise]), quiet);
  }
}

