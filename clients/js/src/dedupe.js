/**
 * What is to be done with a message that came: `fresh` is handed over; one that is `inHand` the application has, the repeat is ignored;
 * one that was `acked` is acked again.
 * @typedef {'fresh' | 'inHand' | 'acked'} Verdict
 */

/**
 * Hands each message over once. It knows those in hand, and the last `size` that were acked.
 */
export class Dedupe {
  #size;
  /** @type {Set<string>} */
  #hand = new Set();
  /** @type {Set<string>} the oldest first */
  #done = new Set();

  /** @param {number} size */
  constructor(size) {
    this.#size = size;
  }

  /**
   * Takes a message in hand, if it is fresh.
   * @param {string} key
   * @returns {Verdict}
   */
  begin(key) {
    if (this.#done.has(key)) return 'acked';
    if (this.#hand.has(key)) return 'inHand';
    this.#hand.add(key);
    return 'fresh';
  }

  /**
   * Is it in hand, or was it acked?
   * @param {string} key
   */
  knows(key) {
    return this.#hand.has(key) || this.#done.has(key);
  }

  /**
   * Takes a message out of hand, for good or to be handed over again when it comes again.
   * @param {string} key
   * @param {boolean} forGood
   */
  finish(key, forGood) {
    this.#hand.delete(key);
    if (!forGood || this.#done.has(key)) return;
    if (this.#done.size >= this.#size) {
      for (const oldest of this.#done) {
        this.#done.delete(oldest);
        break;
      }
    }
    this.#done.add(key);
  }
}

/**
 * Names a message: an id counts within its topic. Neither holds a control character.
 * @param {string} topic
 * @param {string} id
 */
export const keyOf = (topic, id) => topic + '\n' + id;
