import { base64, concat, isText, randomBytes } from './bytes.js';
import { subtle } from './key.js';
import { malformed, unauthentic } from './message.js';
import { hashOf } from './sha256.js';

/** @typedef {import('./bytes.js').Bytes} Bytes */
/** @typedef {import('./keyring.js').KeyRing} KeyRing */

const BLOCK = 16;

/**
 * Seals plaintext as suite 1's data, base64(IV):base64(ciphertext), for clients that know no other. The frame needs the data's
 * hash beside it.
 * @param {KeyRing} ring
 * @param {Bytes} plaintext
 * @param {Bytes} [iv] for tests
 * @returns {Promise<string>}
 */
export async function sealLegacy(ring, plaintext, iv = randomBytes(BLOCK)) {
  const sealed = await subtle().encrypt({ name: 'AES-CBC', iv }, ring.newest.cbc, plaintext);
  return base64.encode(iv) + ':' + base64.encode(new Uint8Array(sealed));
}

/**
 * Opens suite 1's data, with hash as it came beside it. Nothing proves who sealed it, for which topic or when. Suite 1 names
 * no key: of several, the one that gives a text is taken for the right one.
 *
 * Whoever acks differently according to the result lets forgers read messages: ack first.
 * @param {KeyRing} ring
 * @param {string} data
 * @param {string} hash
 * @returns {Promise<Bytes>}
 */
export async function openLegacy(ring, data, hash) {
  const [iv64, ct64, more] = data.split(':', 3);
  const iv = base64.decode(iv64), ct = ct64 === undefined || more !== undefined ? null : base64.decode(ct64);
  if (iv === null || iv.length !== BLOCK || ct === null || ct.length === 0 || ct.length % BLOCK !== 0) throw malformed();
  const intact = hashOf(data) === hash;
  /** @type {Bytes | null} */
  let found = null;
  for (const root of ring.keys) {
    const plaintext = await openCBC(root.cbc, iv, ct);
    if (plaintext !== null && isText(plaintext)) {
      found = plaintext;
      break;
    }
    found ??= plaintext;
  }
  if (found === null || !intact) throw unauthentic();
  return found;
}

/**
 * Suite 1's file chunk: IV ‖ ciphertext.
 * @param {CryptoKey} key
 * @param {Bytes} plaintext
 * @param {Bytes} [iv] for tests
 * @returns {Promise<Bytes>}
 */
export async function sealChunk(key, plaintext, iv = randomBytes(BLOCK)) {
  return concat(iv, new Uint8Array(await subtle().encrypt({ name: 'AES-CBC', iv }, key, plaintext)));
}

/**
 * @param {CryptoKey} key
 * @param {Bytes} payload
 * @returns {Promise<Bytes>}
 */
export async function openChunk(key, payload) {
  const n = payload.length - BLOCK;
  if (n <= 0 || n % BLOCK !== 0) throw malformed();
  const plaintext = await openCBC(key, payload.subarray(0, BLOCK), payload.subarray(BLOCK));
  if (plaintext === null) throw unauthentic();
  return plaintext;
}

/**
 * Null: the padding is wrong.
 * @param {CryptoKey} key
 * @param {Bytes} iv
 * @param {Bytes} ct
 */
async function openCBC(key, iv, ct) {
  try {
    return new Uint8Array(await subtle().decrypt({ name: 'AES-CBC', iv }, key, ct));
  } catch {
    return null;
  }
}
