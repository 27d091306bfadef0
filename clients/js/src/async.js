// The few tools that promises lack.

/**
 * A promise with its ends outside.
 * @template [T=void]
 */
export class Deferred {
  constructor() {
    /** @type {(value: T) => void} */
    this.resolve = () => {};
    /** @type {(err: unknown) => void} */
    this.reject = () => {};
    /** @type {Promise<T>} */
    this.promise = new Promise((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
    });
  }
}

/** One waits, many may notify: notices that nobody waited for are one. */
export class Signal {
  #set = false;
  /** @type {(() => void) | null} */
  #waiting = null;

  notify() {
    this.#set = true;
    const wake = this.#waiting;
    this.#waiting = null;
    wake?.();
  }

  /** Resolves at the next notice, or at once if one has come since the last wait. */
  async wait() {
    if (!this.#set) await new Promise((resolve) => { this.#waiting = () => resolve(undefined); });
    this.#set = false;
  }
}

/**
 * Waits. False: the signal was aborted first.
 * @param {number} ms
 * @param {AbortSignal} [signal]
 * @returns {Promise<boolean>}
 */
export function pause(ms, signal) {
  return new Promise((resolve) => {
    if (signal?.aborted) return resolve(false);
    const stop = () => {
      clearTimeout(timer);
      resolve(false);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', stop);
      resolve(true);
    }, ms);
    signal?.addEventListener('abort', stop, { once: true });
  });
}

/**
 * Waits for a promise at most so long; true: it resolved in time. A rejection counts.
 * @param {Promise<unknown>} promise
 * @param {number} ms
 * @returns {Promise<boolean>}
 */
export async function within(promise, ms) {
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  const late = new Promise((resolve) => { timer = setTimeout(() => resolve(false), ms); });
  try {
    return await Promise.race([promise.then(() => true), late]) === true;
  } finally {
    clearTimeout(timer);
  }
}

/**
 * A promise that ends early, with the signal's reason.
 * @template T
 * @param {Promise<T>} promise
 * @param {AbortSignal | undefined} signal
 * @param {() => void} stopped is called where the signal came first
 * @returns {Promise<T>}
 */
export async function abortable(promise, signal, stopped) {
  if (!signal) return promise;
  /** @type {() => void} */
  let stop = () => {};
  const aborted = new Promise((_, reject) => {
    stop = () => {
      stopped();
      reject(signal.reason);
    };
    if (signal.aborted) stop();
    else signal.addEventListener('abort', stop, { once: true });
  });
  try {
    return /** @type {T} */ (await Promise.race([promise, aborted]));
  } finally {
    signal.removeEventListener('abort', stop);
  }
}
