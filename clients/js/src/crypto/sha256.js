import { bytesOf, hex } from './bytes.js';

/** @typedef {import('./bytes.js').Bytes} Bytes */

// The first 32 bits of the fractional parts of the square roots of the first 8 primes and the cube roots of the first 64
// (FIPS 180-4, 5.3.3 and 4.2.2), worked out rather than typed in.
const primes = [2];
for (let n = 3; primes.length < 64; n += 2) if (primes.every((p) => n % p !== 0)) primes.push(n);

/** @param {number} x */
const fraction = (x) => ((x - Math.floor(x)) * 2 ** 32) | 0;
const H = primes.slice(0, 8).map((p) => fraction(Math.sqrt(p)));
const K = new Int32Array(primes.map((p) => fraction(Math.cbrt(p))));

/**
 * SHA-256 of what comes piece by piece. WebCrypto has only that of a whole text in memory, and a file is never that.
 */
export class Sha256 {
  #state = new Int32Array(H);
  #words = new Int32Array(64);
  #block = new Uint8Array(64);
  #held = 0; // bytes in #block
  #length = 0;
  #digest = '';

  /** @param {ArrayBuffer | ArrayBufferView} source */
  update(source) {
    const b = bytesOf(source);
    this.#length += b.length;
    let at = 0;
    if (this.#held > 0) {
      at = Math.min(64 - this.#held, b.length);
      this.#block.set(b.subarray(0, at), this.#held);
      this.#held += at;
      if (this.#held < 64) return this;
      this.#compress(this.#block, 0);
      this.#held = 0;
    }
    for (; at + 64 <= b.length; at += 64) this.#compress(b, at);
    this.#block.set(b.subarray(at));
    this.#held = b.length - at;
    return this;
  }

  /**
   * What it stands for so far, after whole blocks of 64 bytes: as JSON can have it, for restore.
   * @returns {{ length: number, state: number[] }}
   */
  save() {
    if (this.#held > 0) throw new RangeError('a hash is saved at the end of a block');
    return { length: this.#length, state: [...this.#state] };
  }

  /** @param {{ length: number, state: number[] }} saved */
  static restore({ length, state }) {
    const sum = new Sha256();
    sum.#state.set(state);
    sum.#length = length;
    return sum;
  }

  /** The digest as lower-case hex. Nothing may be added after it. */
  hex() {
    return this.#digest ||= this.#finish();
  }

  #finish() {
    const end = new Uint8Array(this.#held < 56 ? 64 : 128);
    end.set(this.#block.subarray(0, this.#held));
    end[this.#held] = 0x80;
    const view = new DataView(end.buffer);
    view.setBigUint64(end.length - 8, BigInt(this.#length) * 8n);
    for (let at = 0; at < end.length; at += 64) this.#compress(end, at);
    const out = new Uint8Array(32);
    this.#state.forEach((word, i) => new DataView(out.buffer).setInt32(4 * i, word));
    return hex(out);
  }

  /**
   * @param {Bytes} b
   * @param {number} at
   */
  #compress(b, at) {
    const w = this.#words;
    for (let i = 0; i < 16; i++, at += 4) w[i] = (b[at] << 24) | (b[at + 1] << 16) | (b[at + 2] << 8) | b[at + 3];
    for (let i = 16; i < 64; i++) {
      const x = w[i - 15], y = w[i - 2];
      const s0 = ((x >>> 7) | (x << 25)) ^ ((x >>> 18) | (x << 14)) ^ (x >>> 3);
      const s1 = ((y >>> 17) | (y << 15)) ^ ((y >>> 19) | (y << 13)) ^ (y >>> 10);
      w[i] = (w[i - 16] + s0 + w[i - 7] + s1) | 0;
    }
    const s = this.#state;
    let a = s[0], c = s[1], d = s[2], e = s[3], f = s[4], g = s[5], h = s[6], j = s[7];
    for (let i = 0; i < 64; i++) {
      const s1 = ((f >>> 6) | (f << 26)) ^ ((f >>> 11) | (f << 21)) ^ ((f >>> 25) | (f << 7));
      const t1 = (j + s1 + ((f & g) ^ (~f & h)) + K[i] + w[i]) | 0;
      const s0 = ((a >>> 2) | (a << 30)) ^ ((a >>> 13) | (a << 19)) ^ ((a >>> 22) | (a << 10));
      const t2 = (s0 + ((a & c) ^ (a & d) ^ (c & d))) | 0;
      j = h; h = g; g = f; f = (e + t1) | 0;
      e = d; d = c; c = a; a = (t1 + t2) | 0;
    }
    s[0] += a; s[1] += c; s[2] += d; s[3] += e; s[4] += f; s[5] += g; s[6] += h; s[7] += j;
  }
}

/**
 * The lower-case hex SHA-256 of a text: the `hash` of data as sent.
 * @param {string} s
 * @returns {string}
 */
export const hashOf = (s) => new Sha256().update(new TextEncoder().encode(s)).hex();
