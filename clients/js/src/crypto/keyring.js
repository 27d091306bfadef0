import { FastPortError } from '../errors.js';
import { hex } from './bytes.js';
import { RootKey, parseKey } from './key.js';

/** @typedef {import('./bytes.js').Bytes} Bytes */

// The cache of message keys: a message from a sender beyond it costs one derivation more.
const MAX_SENDERS = 1024;

/**
 * The keys of one session, the newest first: it seals with the newest and opens with any.
 */
export class KeyRing {
  /** @type {Map<string, CryptoKey>} */
  #senders = new Map();

  /**
   * @param {string} session
   * @param {RootKey[]} keys
   */
  constructor(session, keys) {
    this.session = session;
    this.keys = keys;
  }

  /**
   * @param {string} session
   * @param {string | string[]} aesKey one key in base64, or several with the newest first
   * @returns {Promise<KeyRing>}
   */
  static async create(session, aesKey) {
    const keys = Array.isArray(aesKey) ? aesKey : [aesKey];
    if (keys.length === 0) throw new FastPortError('bad_option', 'aesKey: a ring needs a key');
    return new KeyRing(session, await Promise.all(keys.map((k) => RootKey.import(parseKey(k), session))));
  }

  /** The key that the ring seals with. */
  get newest() {
    return this.keys[0];
  }

  /**
   * Is this the key check of any key in the ring? A session may have been created with an older one.
   * @param {string} check
   */
  async holds(check) {
    for (const k of this.keys) if ((await k.keyCheck(this.session)) === check) return true;
    return false;
  }

  /**
   * The key of a sender's messages.
   * @param {RootKey} root
   * @param {Bytes} sender
   */
  async messageKey(root, sender) {
    return this.#senders.get(nameOf(root, sender)) ?? root.gcm(sender, 'fastport/2/message/' + this.session);
  }

  /**
   * Keeps a sender's key once a message has proved that the sender is real. A full cache loses its oldest.
   * @param {RootKey} root
   * @param {Bytes} sender
   * @param {CryptoKey} key
   */
  remember(root, sender, key) {
    const name = nameOf(root, sender);
    if (this.#senders.has(name)) return;
    if (this.#senders.size >= MAX_SENDERS) {
      for (const oldest of this.#senders.keys()) {
        this.#senders.delete(oldest);
        break;
      }
    }
    this.#senders.set(name, key);
  }
}

/**
 * @param {RootKey} root
 * @param {Bytes} sender
 */
const nameOf = (root, sender) => hex(root.kid) + hex(sender);
