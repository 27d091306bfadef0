import { FastPortError } from '../errors.js';
import { base64, hex, randomBytes, utf8 } from './bytes.js';

/** @typedef {import('./bytes.js').Bytes} Bytes */

const KEY_SIZE = 32;

/** A new root key, in base64: 32 random bytes, for every member of a session. */
export function generateKey() {
  return base64.encode(randomBytes(KEY_SIZE));
}

/**
 * Reads a root key. One that anyone would guess is refused: all bytes equal, or counting.
 * @param {string} s base64
 * @returns {Bytes}
 */
export function parseKey(s) {
  const raw = typeof s === 'string' ? base64.decode(s) : null;
  if (raw === null || raw.length !== KEY_SIZE) {
    throw new FastPortError('bad_option', 'aesKey: takes 32 bytes in base64 (44 characters)');
  }
  const step = (raw[1] - raw[0]) & 0xff;
  if ((step === 0 || step === 1 || step === 0xff) && raw.every((b, i) => i === 0 || ((b - raw[i - 1]) & 0xff) === step)) {
    throw new FastPortError('weak_key', 'aesKey: anyone would guess it; make one with generateKey()');
  }
  return raw;
}

/**
 * A root key in WebCrypto's hands, from which it does not come out again.
 */
export class RootKey {
  /**
   * @param {CryptoKey} hkdf
   * @param {CryptoKey} cbc suite 1 uses the root key itself
   * @param {Bytes} kid names the key inside its session
   */
  constructor(hkdf, cbc, kid) {
    this.hkdf = hkdf;
    this.cbc = cbc;
    this.kid = kid;
  }

  /**
   * @param {Bytes} raw
   * @param {string} session
   * @returns {Promise<RootKey>}
   */
  static async import(raw, session) {
    const hkdf = await subtle().importKey('raw', raw, 'HKDF', false, ['deriveBits']);
    const cbc = await subtle().importKey('raw', raw, 'AES-CBC', false, ['encrypt', 'decrypt']);
    return new RootKey(hkdf, cbc, await derive(hkdf, utf8(session), 'fastport/2/kid', 4));
  }

  /**
   * The AES-GCM key that follows from this one.
   * @param {Bytes} salt
   * @param {string} info
   */
  async gcm(salt, info) {
    return subtle().importKey('raw', await derive(this.hkdf, salt, info, KEY_SIZE), 'AES-GCM', false, ['encrypt', 'decrypt']);
  }

  /**
   * What the server holds of the key, to tell a client with a wrong one: 32 hex digits from which the key does not follow.
   * @param {string} session
   */
  async keyCheck(session) {
    return hex(await derive(this.hkdf, utf8(session), 'fastport/2/keycheck', 16));
  }

  /**
   * The key of push envelopes in base64, the one derived key that a server gets.
   * @param {string} session
   */
  async fcmKey(session) {
    return base64.encode(await derive(this.hkdf, utf8(session), 'fastport/2/fcm', KEY_SIZE));
  }
}

/**
 * @param {CryptoKey} key
 * @param {Bytes} salt
 * @param {string} info
 * @param {number} n bytes
 * @returns {Promise<Bytes>}
 */
async function derive(key, salt, info, n) {
  return new Uint8Array(await subtle().deriveBits({ name: 'HKDF', hash: 'SHA-256', salt, info: utf8(info) }, key, 8 * n));
}

/**
 * WebCrypto, which browsers give to pages from https and from localhost alone.
 * @returns {SubtleCrypto}
 */
export function subtle() {
  const s = globalThis.crypto?.subtle;
  if (!s) throw new FastPortError('unsupported', 'no WebCrypto: a browser has it on pages from https or localhost only');
  return s;
}
