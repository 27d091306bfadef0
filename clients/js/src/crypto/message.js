import { FastPortError } from '../errors.js';
import { base64url, concat, hex, randomBytes, utf8 } from './bytes.js';
import { subtle } from './key.js';

/** @typedef {import('./bytes.js').Bytes} Bytes */
/** @typedef {import('./keyring.js').KeyRing} KeyRing */

/**
 * What a message's seal binds besides its session: moved to another place, it does not open.
 * @typedef {object} Header
 * @property {string} topic
 * @property {string} messageId
 * @property {number} timestamp ms
 */

/**
 * Names one sealed message: who sealed it (a random name that changes at least daily) and its number.
 * @typedef {object} Mark
 * @property {string} sender hex
 * @property {bigint} counter
 */

// Behind "2." and base64url: kid(4) ‖ S(16) ‖ counter(8) ‖ ciphertext ‖ tag(16).
const PREFIX = '2.';
const HEAD = 4 + 16 + 8;
const TAG = 16;

// A sender's key is given up after so many messages or so long, whichever comes first.
const MAX_COUNTER = 2 ** 31;
const MAX_AGE = 24 * 3600 * 1000;

/**
 * Has the data suite 2's prefix? Anything else is suite 1 or not ours.
 * @param {string} data
 */
export const isSuite2 = (data) => data.startsWith(PREFIX);

/**
 * Seals messages with the newest key of a ring, under a key of its own. Each client has one.
 */
export class Sealer {
  #ring;
  #now;
  #random;
  /** @type {{ salt: Bytes, key: Promise<CryptoKey>, counter: number, born: number } | null} */
  #sender = null;

  /**
   * @param {KeyRing} ring
   * @param {{ now?: () => number, random?: (n: number) => Bytes, counter?: number }} [from] for tests
   */
  constructor(ring, { now = Date.now, random = randomBytes, counter = 0 } = {}) {
    this.#ring = ring;
    this.#now = now;
    this.#random = random;
    if (counter > 0) this.#draw().counter = counter;
  }

  /**
   * Seals plaintext for a place, as suite 2's data.
   * @param {Header} header
   * @param {Bytes} plaintext
   * @returns {Promise<string>}
   */
  async seal(header, plaintext) {
    let s = this.#sender;
    if (!s || s.counter >= MAX_COUNTER || this.#now() - s.born >= MAX_AGE) s = this.#draw();
    // The number is taken before anything is waited for: none is ever given out twice.
    const number = s.counter++;
    const head = new Uint8Array(HEAD);
    head.set(this.#ring.newest.kid);
    head.set(s.salt, 4);
    new DataView(head.buffer).setBigUint64(20, BigInt(number));
    const sealed = await subtle().encrypt(
      { name: 'AES-GCM', iv: nonce(BigInt(number)), additionalData: aad(this.#ring.session, header) }, await s.key, plaintext);
    return PREFIX + base64url.encode(concat(head, new Uint8Array(sealed)));
  }

  #draw() {
    const salt = this.#random(16);
    return this.#sender = { salt, key: this.#ring.messageKey(this.#ring.newest, salt), counter: 0, born: this.#now() };
  }
}

/**
 * Opens suite 2's data, which must have been sealed for this place. It fails with the codes `malformed`, `unknown_key` or
 * `authentication`. The mark is for a ReplayGuard: this function remembers nothing.
 * @param {KeyRing} ring
 * @param {Header} header
 * @param {string} data
 * @returns {Promise<{ plaintext: Bytes, mark: Mark }>}
 */
export async function openMessage(ring, header, data) {
  const raw = isSuite2(data) ? base64url.decode(data.slice(PREFIX.length)) : null;
  if (raw === null || raw.length < HEAD + TAG) throw malformed();
  const sender = raw.slice(4, 20);
  const counter = new DataView(raw.buffer).getBigUint64(20);
  const how = { name: 'AES-GCM', iv: nonce(counter), additionalData: aad(ring.session, header) };
  let known = false;
  for (const root of ring.keys) {
    if (!root.kid.every((b, i) => b === raw[i])) continue;
    known = true; // and go on: two keys may share their four bytes
    const key = await ring.messageKey(root, sender);
    try {
      const plaintext = new Uint8Array(await subtle().decrypt(how, key, raw.subarray(HEAD)));
      ring.remember(root, sender, key);
      return { plaintext, mark: { sender: hex(sender), counter } };
    } catch {
      // not of this key, or changed
    }
  }
  if (!known) throw new FastPortError('unknown_key', `sealed with a key that is not held here: ${hex(raw.subarray(0, 4))}`);
  throw unauthentic();
}

export const malformed = () => new FastPortError('malformed', 'has not the form of a sealed text');

/** Why is not told: what tells one reason from another opens messages to whoever sends forgeries. */
export const unauthentic = () => new FastPortError('authentication', 'not sealed with this key for this place, or changed');

/**
 * @param {bigint} counter
 * @returns {Bytes}
 */
export function nonce(counter) {
  const n = new Uint8Array(12);
  new DataView(n.buffer).setBigUint64(4, counter);
  return n;
}

/**
 * Binds a message to its place. Each part has its length in front, so that no two places give the same bytes.
 * @param {string} session
 * @param {Header} h
 * @returns {Bytes}
 */
export function aad(session, h) {
  return concat(...['fastport/2', session, h.topic, h.messageId, String(h.timestamp)].flatMap((part) => {
    const bytes = utf8(part);
    const length = new Uint8Array(4);
    new DataView(length.buffer).setUint32(0, bytes.length);
    return [length, bytes];
  }));
}
