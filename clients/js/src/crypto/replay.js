/** @typedef {import('./message.js').Mark} Mark */

// What a guard remembers over all senders.
const MAX_RANGES = 65_536;

/**
 * Remembers which marks were accepted. A sender's numbers are kept as ranges: one range a sender whose every message comes this
 * way, more where only some do. Beyond its bound it forgets the sender heard least recently, and of a sole sender the lowest numbers:
 * it would rather take an old message twice than refuse one that never came.
 */
export class ReplayGuard {
  #max;
  #ranges = 0;
  /**
   * By sender, the one heard last at the end: its ranges [first, last], ascending, neither touching nor overlapping.
   * @type {Map<string, [bigint, bigint][]>}
   */
  #senders = new Map();

  /** @param {number} [max] */
  constructor(max = MAX_RANGES) {
    this.#max = max;
  }

  /**
   * Was it accepted before?
   * @param {Mark} mark
   */
  seen({ sender, counter }) {
    const seen = this.#senders.get(sender);
    if (!seen) return false;
    const i = search(seen, counter);
    return i < seen.length && seen[i][0] <= counter;
  }

  /**
   * Remembers a mark. False: it was accepted before.
   * @param {Mark} mark
   * @returns {boolean}
   */
  accept({ sender, counter }) {
    const seen = this.#senders.get(sender) ?? [];
    this.#senders.delete(sender); // and to the end
    this.#senders.set(sender, seen);
    const before = seen.length;
    if (!add(seen, counter)) return false;
    this.#ranges += seen.length - before;
    while (this.#ranges > this.#max) this.#forget();
    return true;
  }

  #forget() {
    for (const [sender, seen] of this.#senders) {
      if (this.#senders.size === 1) {
        seen.shift();
        this.#ranges--;
      } else {
        this.#senders.delete(sender);
        this.#ranges -= seen.length;
      }
      return;
    }
  }
}

/**
 * The first range that ends at n or later.
 * @param {[bigint, bigint][]} seen
 * @param {bigint} n
 */
function search(seen, n) {
  let low = 0, high = seen.length;
  if (high > 0 && seen[high - 1][1] < n) return high; // the usual case: the next number
  while (low < high) {
    const middle = (low + high) >> 1;
    if (seen[middle][1] >= n) high = middle;
    else low = middle + 1;
  }
  return low;
}

/**
 * Puts n into the ranges, joining those that it connects. False: it was there.
 * @param {[bigint, bigint][]} seen
 * @param {bigint} n
 */
function add(seen, n) {
  const i = search(seen, n);
  if (i < seen.length && seen[i][0] <= n) return false;
  const left = i > 0 && seen[i - 1][1] + 1n === n;
  const right = i < seen.length && seen[i][0] - 1n === n;
  if (left && right) {
    seen[i - 1][1] = seen[i][1];
    seen.splice(i, 1);
  } else if (left) {
    seen[i - 1][1] = n;
  } else if (right) {
    seen[i][0] = n;
  } else {
    seen.splice(i, 0, [n, n]);
  }
  return true;
}
