/**
 * The server's clock, as far as is known. It goes on by the monotonic clock, so that nobody who sets this device's time changes it.
 */
export class Clock {
  /** @type {number | null} */
  #server = null;
  #at = 0;

  /** @param {number | undefined} serverTime ms */
  set(serverTime) {
    if (typeof serverTime !== 'number' || !(serverTime > 0)) return;
    this.#server = serverTime;
    this.#at = performance.now();
  }

  /** ms since 1970 */
  now() {
    return this.#server === null ? Date.now() : Math.round(this.#server + performance.now() - this.#at);
  }
}
