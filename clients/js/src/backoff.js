/**
 * A pause that doubles with each failure, of which a random part is waited (full jitter): clients that were cut off together come
 * back spread out.
 */
export class Backoff {
  failures = 0;

  /**
   * @param {number} min ms
   * @param {number} max ms
   */
  constructor(min, max) {
    this.min = min;
    this.max = max;
  }

  /** The next pause in ms. */
  next() {
    return jitter(Math.min(this.max, this.min * 2 ** Math.min(this.failures++, 32)));
  }

  reset() {
    this.failures = 0;
  }
}

/**
 * A random part of so many ms.
 * @param {number} ms
 */
export const jitter = (ms) => Math.random() * ms;
