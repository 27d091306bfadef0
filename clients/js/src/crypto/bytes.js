// Bytes and their texts. Decoding is strict: every text stands for bytes in one way only, so that nothing is taken here that
// another SDK refuses.

/**
 * Bytes that WebCrypto takes.
 * @typedef {Uint8Array<ArrayBuffer>} Bytes
 */

const encoder = new TextEncoder();
const lossy = new TextDecoder('utf-8', { ignoreBOM: true });
const strict = new TextDecoder('utf-8', { ignoreBOM: true, fatal: true });
const ascii = new TextDecoder('latin1');

/**
 * The UTF-8 of a text.
 * @param {string} text
 * @returns {Bytes}
 */
export const utf8 = (text) => encoder.encode(text);

/**
 * The text of UTF-8, with U+FFFD for what is none.
 * @param {Uint8Array} bytes
 */
export const text = (bytes) => lossy.decode(bytes);

/**
 * Are the bytes UTF-8?
 * @param {Uint8Array} bytes
 */
export function isText(bytes) {
  try {
    strict.decode(bytes);
    return true;
  } catch {
    return false;
  }
}

/**
 * Any bytes as they are in WebCrypto's hands: a view of the same memory, copied only where that is shared.
 * @param {ArrayBuffer | ArrayBufferView} source
 * @returns {Bytes}
 */
export function bytesOf(source) {
  if (source instanceof ArrayBuffer) return new Uint8Array(source);
  const { buffer, byteOffset, byteLength } = source;
  if (buffer instanceof ArrayBuffer) return new Uint8Array(buffer, byteOffset, byteLength);
  return new Uint8Array(new Uint8Array(buffer, byteOffset, byteLength));
}

/**
 * @param {...Uint8Array} parts
 * @returns {Bytes}
 */
export function concat(...parts) {
  const out = new Uint8Array(parts.reduce((n, p) => n + p.length, 0));
  let at = 0;
  for (const p of parts) {
    out.set(p, at);
    at += p.length;
  }
  return out;
}

/**
 * @param {number} n
 * @returns {Bytes}
 */
export const randomBytes = (n) => crypto.getRandomValues(new Uint8Array(n));

/**
 * Gives back the memory of bytes that nobody needs any more: at once where the runtime can, else the collector does later, when much has
 * gathered. A file that passes by leaves nothing behind.
 * @param {Bytes} bytes which have their buffer for themselves
 */
export function release(bytes) {
  const buffer = /** @type {ArrayBuffer & { transfer?: (size: number) => ArrayBuffer }} */ (bytes.buffer);
  buffer.transfer?.(0);
}

/** @param {Uint8Array} bytes */
export function hex(bytes) {
  let out = '';
  for (const b of bytes) out += (b < 16 ? '0' : '') + b.toString(16);
  return out;
}

/**
 * The bytes of hex digits, or null.
 * @param {string} digits
 * @returns {Bytes | null}
 */
export function unhex(digits) {
  if (digits.length % 2 !== 0 || !/^[0-9a-fA-F]*$/.test(digits)) return null;
  const out = new Uint8Array(digits.length / 2);
  for (let i = 0; i < out.length; i++) out[i] = parseInt(digits.slice(2 * i, 2 * i + 2), 16);
  return out;
}

class Base64 {
  #codes;
  #values = new Uint8Array(128).fill(255);
  #padded;

  /**
   * @param {string} last the two characters that end the alphabet
   * @param {boolean} padded
   */
  constructor(last, padded) {
    this.#codes = utf8('ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789' + last);
    this.#codes.forEach((code, value) => { this.#values[code] = value; });
    this.#padded = padded;
  }

  /** @param {Uint8Array} b */
  encode(b) {
    const rest = b.length % 3;
    const whole = b.length - rest;
    const out = new Uint8Array((whole / 3) * 4 + (rest === 0 ? 0 : this.#padded ? 4 : rest + 1)).fill(61); // '='
    const c = this.#codes;
    let at = 0;
    for (let i = 0; i < whole; i += 3) {
      const v = (b[i] << 16) | (b[i + 1] << 8) | b[i + 2];
      out[at++] = c[v >> 18];
      out[at++] = c[(v >> 12) & 63];
      out[at++] = c[(v >> 6) & 63];
      out[at++] = c[v & 63];
    }
    if (rest > 0) {
      const v = (b[whole] << 16) | (rest === 2 ? b[whole + 1] << 8 : 0);
      out[at++] = c[v >> 18];
      out[at++] = c[(v >> 12) & 63];
      if (rest === 2) out[at++] = c[(v >> 6) & 63];
    }
    return ascii.decode(out);
  }

  /**
   * The bytes, or null where the text is not this base64: other characters, line breaks, wrong padding, stray bits.
   * @param {string} s
   * @returns {Bytes | null}
   */
  decode(s) {
    let end = s.length;
    if (this.#padded) {
      if (end % 4 !== 0) return null;
      if (s.endsWith('=')) end -= s.endsWith('==') ? 2 : 1;
    }
    const rest = end % 4;
    if (rest === 1) return null;
    const out = new Uint8Array(Math.floor((end * 3) / 4));
    const v = this.#values;
    let bits = 0, held = 0, at = 0;
    for (let i = 0; i < end; i++) {
      const code = s.charCodeAt(i);
      const value = code < 128 ? v[code] : 255;
      if (value === 255) return null;
      held = ((held << 6) | value) & 0xffffff;
      bits += 6;
      if (bits >= 8) {
        bits -= 8;
        out[at++] = held >> bits;
      }
    }
    return bits > 0 && (held & ((1 << bits) - 1)) !== 0 ? null : out;
  }
}

export const base64 = new Base64('+/', true);
export const base64url = new Base64('-_', false);
