import { FastPortError } from '../errors.js';
import { base64url, text, unhex, utf8 } from './bytes.js';
import { subtle } from './key.js';
import { openChunk, sealChunk } from './legacy.js';
import { malformed, unauthentic } from './message.js';

/** @typedef {import('./bytes.js').Bytes} Bytes */
/** @typedef {import('./keyring.js').KeyRing} KeyRing */
/** @typedef {import('./key.js').RootKey} RootKey */

/**
 * What describes a file to its receivers; suite 2 seals it, so that the server sees no name.
 * @typedef {object} Meta
 * @property {string} name
 * @property {number} size bytes
 * @property {string} [type] media type
 * @property {string} [sha256] of the plaintext, lower-case hex; absent where the sender could not know it
 */

// What the wire takes as metadata, in characters.
const MAX_META = 8 << 10;
const TAG = 16;
const metaNonce = new Uint8Array(12).fill(0xff);

/**
 * Seals and opens the chunks of one file. A chunk's nonce is its index, so a fileId and an index must never be sealed again with other
 * content: a sender that goes back sends the same bytes again.
 */
export class FileCipher {
  /**
   * @param {CryptoKey} key
   * @param {boolean} legacy suite 1, which binds a chunk neither to its file nor to its place
   */
  constructor(key, legacy) {
    this.key = key;
    this.legacy = legacy;
  }

  /**
   * @param {number} index
   * @param {boolean} last marks the file's last chunk, so that a cut file does not open
   * @param {Bytes} plaintext
   * @returns {Promise<Bytes>}
   */
  async seal(index, last, plaintext) {
    if (this.legacy) return sealChunk(this.key, plaintext);
    return new Uint8Array(await subtle().encrypt({ name: 'AES-GCM', iv: chunkNonce(index, last) }, this.key, plaintext));
  }

  /**
   * It is `authentication` for another file's chunk, another index or a wrong last.
   * @param {number} index
   * @param {boolean} last
   * @param {Bytes} payload
   * @returns {Promise<Bytes>}
   */
  async open(index, last, payload) {
    if (this.legacy) return openChunk(this.key, payload);
    if (payload.length < TAG) throw malformed();
    return decrypt(this.key, chunkNonce(index, last), payload);
  }

  /**
   * The `meta` of init_file. Once a file: sealed again, it must be of the same content.
   * @param {Meta} meta
   * @returns {Promise<string>}
   */
  async sealMeta({ name, size, type, sha256 }) {
    const plaintext = utf8(JSON.stringify({ name, size, ...(type && { type }), ...(sha256 && { sha256 }) }));
    const sealed = base64url.encode(new Uint8Array(await subtle().encrypt({ name: 'AES-GCM', iv: metaNonce }, this.key, plaintext)));
    if (sealed.length > MAX_META) throw new FastPortError('bad_request', 'file: its name and type are too long');
    return sealed;
  }
}

/**
 * The newest key's cipher of suite 2 for a file, or suite 1's, which is the same for all.
 * @param {KeyRing} ring
 * @param {string} fileId
 * @param {1 | 2} suite
 */
export async function fileCipher(ring, fileId, suite) {
  return suite === 1 ? legacyCipher(ring) : cipherOf(ring, ring.newest, fileId);
}

/** @param {KeyRing} ring */
export const legacyCipher = (ring) => new FileCipher(ring.newest.cbc, true);

/**
 * Opens a file's sealed metadata with whichever key of the ring it was sealed with, and gives the cipher for the chunks.
 * @param {KeyRing} ring
 * @param {string} fileId
 * @param {string} sealed
 * @returns {Promise<{ cipher: FileCipher, meta: Meta }>}
 */
export async function openMeta(ring, fileId, sealed) {
  const raw = sealed.length > MAX_META ? null : base64url.decode(sealed);
  if (raw === null || raw.length < TAG) throw malformed();
  for (const root of ring.keys) {
    const cipher = await cipherOf(ring, root, fileId);
    const plaintext = await decrypt(cipher.key, metaNonce, raw).catch(() => null);
    if (plaintext) return { cipher, meta: parseMeta(plaintext) };
  }
  throw unauthentic();
}

/**
 * @param {Bytes} plaintext
 * @returns {Meta}
 */
function parseMeta(plaintext) {
  let m;
  try {
    m = JSON.parse(text(plaintext));
  } catch {
    throw malformed();
  }
  const well = typeof m?.name === 'string' && Number.isSafeInteger(m.size) && m.size >= 0 &&
    ['string', 'undefined'].includes(typeof m.type) && ['string', 'undefined'].includes(typeof m.sha256);
  if (!well) throw malformed();
  return { name: m.name, size: m.size, type: m.type, sha256: m.sha256 };
}

/**
 * @param {KeyRing} ring
 * @param {RootKey} root
 * @param {string} fileId
 */
async function cipherOf(ring, root, fileId) {
  const id = unhex(fileId.replaceAll('-', ''));
  if (id?.length !== 16) throw malformed();
  return new FileCipher(await root.gcm(id, 'fastport/2/file/' + ring.session), false);
}

/**
 * @param {CryptoKey} key
 * @param {Bytes} iv
 * @param {Bytes} sealed
 */
async function decrypt(key, iv, sealed) {
  try {
    return new Uint8Array(await subtle().decrypt({ name: 'AES-GCM', iv }, key, sealed));
  } catch {
    throw unauthentic();
  }
}

/**
 * The index in 11 bytes and the last flag in one; metaNonce ends in neither 0 nor 1.
 * @param {number} index
 * @param {boolean} last
 * @returns {Bytes}
 */
export function chunkNonce(index, last) {
  const n = new Uint8Array(12);
  new DataView(n.buffer).setUint32(7, index);
  n[11] = last ? 1 : 0;
  return n;
}
