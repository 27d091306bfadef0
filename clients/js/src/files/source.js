import { bytesOf, concat, release } from '../crypto/bytes.js';
import { subtle } from '../crypto/key.js';
import { Sha256 } from '../crypto/sha256.js';
import { FastPortError, asError } from '../errors.js';
import { CHUNK_SIZE, chunkFrame } from '../frames.js';

/** @typedef {import('../crypto/bytes.js').Bytes} Bytes */

/**
 * What a file can be read from: a File or Blob, bytes, the path of a file on Node, or a stream (read once, its name and size given).
 * @typedef {Blob | ArrayBuffer | ArrayBufferView | string | ReadableStream<Uint8Array> | AsyncIterable<Uint8Array>} FileSource
 */

/**
 * A file's bytes, piece by piece.
 * @typedef {object} Reader
 * @property {string} name
 * @property {number} size
 * @property {string} type
 * @property {boolean} seekable false: it can be read once, from start to end
 * @property {boolean} owned what is read is a copy, which nobody else has
 * @property {(at: number, n: number) => Promise<Bytes>} read less than n where it ends
 * @property {() => Promise<void>} close
 */

/**
 * @param {FileSource} from
 * @param {{ name?: string, size?: number, type?: string }} given
 * @returns {Promise<Reader>}
 */
export async function openSource(from, given) {
  const r = await readerOf(from, given);
  if (!r.name) throw bad('file: it needs a name');
  if (!Number.isSafeInteger(r.size) || r.size < 0) throw bad('file: it needs a size');
  if (r.size > CHUNK_SIZE * 0xffffffff) throw new FastPortError('too_large', 'file: more than 2^32 chunks');
  return r;
}

/**
 * @param {FileSource} from
 * @param {{ name?: string, size?: number, type?: string }} given
 * @returns {Promise<Reader>}
 */
async function readerOf(from, { name, size, type }) {
  const close = async () => {};
  if (typeof from === 'string') {
    if (typeof process !== 'object' || !process.versions?.node) throw bad('file: a path can be read on Node only; a page has a File');
    const { openDiskSource } = await import('./disk.js');
    const r = await openDiskSource(from);
    return { ...r, name: name ?? r.name, type: type ?? '' };
  }
  if (from instanceof Blob) {
    return {
      name: name ?? (from instanceof File ? from.name : ''), size: from.size, type: type ?? from.type, seekable: true, owned: true, close,
      read: async (at, n) => new Uint8Array(await from.slice(at, at + n).arrayBuffer()),
    };
  }
  if (from instanceof ArrayBuffer || ArrayBuffer.isView(from)) {
    const b = bytesOf(from);
    return { name: name ?? '', size: b.length, type: type ?? '', seekable: true, owned: false, close, read: async (at, n) => b.subarray(at, at + n) };
  }
  if (from instanceof ReadableStream || typeof from === 'object' && Symbol.asyncIterator in from) {
    return { name: name ?? '', size: size ?? -1, type: type ?? '', seekable: false, owned: false, ...streamReader(from) };
  }
  throw bad('file: takes a File or Blob, bytes, a stream, or a path on Node');
}

/**
 * Cuts a stream into the pieces that are asked for.
 * @param {ReadableStream<Uint8Array> | AsyncIterable<Uint8Array>} from
 */
function streamReader(from) {
  const pieces = from instanceof ReadableStream ? ofReader(from.getReader()) : from[Symbol.asyncIterator]();
  /** @type {Bytes[]} */
  let held = [];
  let have = 0;
  return {
    /**
     * @param {number} _at
     * @param {number} n
     */
    async read(_at, n) {
      while (have < n) {
        const { done, value } = await pieces.next();
        if (done) break;
        held.push(bytesOf(value));
        have += value.byteLength;
      }
      const all = concat(...held);
      held = all.length > n ? [all.subarray(n)] : [];
      have = Math.max(0, all.length - n);
      return all.subarray(0, n);
    },
    async close() {
      await pieces.return?.();
    },
  };
}

/**
 * Not every browser's streams can be iterated.
 * @param {ReadableStreamDefaultReader<Uint8Array>} reader
 * @returns {AsyncIterator<Uint8Array>}
 */
const ofReader = (reader) => ({
  next: async () => /** @type {IteratorResult<Uint8Array>} */ (await reader.read()),
  return: async () => {
    await reader.cancel();
    return { done: true, value: undefined };
  },
});

/**
 * A file as sealed chunks.
 *
 * A chunk's nonce is its index: what is sealed again must be what was sealed before. So each chunk read again is compared with its mark,
 * and a file that has changed is never sent on.
 */
export class Chunks {
  #r;
  #marks = new Marks();
  #whole = new Sha256(); // suite 1: of what was read for the first time
  #at = 0;
  /** @type {import('../crypto/file.js').FileCipher | null} */
  #cipher = null;
  /** The SHA-256 of all, where it was read before. */
  sha256 = '';

  /** @param {Reader} reader */
  constructor(reader) {
    this.#r = reader;
    this.total = Math.ceil(reader.size / CHUNK_SIZE);
  }

  get seekable() {
    return this.#r.seekable;
  }

  /**
   * Reads the whole file once, for its hash.
   * @param {AbortSignal | undefined} signal
   */
  async digest(signal) {
    const whole = new Sha256();
    for (let i = 0; i < this.total; i++) {
      signal?.throwIfAborted();
      const piece = await this.#read(i);
      whole.update(piece);
      await this.#marks.check(i, piece);
      if (this.#r.owned) release(piece);
    }
    this.#at = 0;
    this.sha256 = whole.hex();
  }

  /** @param {import('../crypto/file.js').FileCipher} cipher */
  sealWith(cipher) {
    this.#cipher = cipher;
  }

  /**
   * A chunk as a binary frame, in the memory of an old one where that fits. The chunks are asked for in order, except after going back.
   * @param {string} fileId
   * @param {number} index
   * @param {Bytes | undefined} spare
   * @returns {Promise<Bytes>}
   */
  async frame(fileId, index, spare) {
    const cipher = /** @type {import('../crypto/file.js').FileCipher} */ (this.#cipher);
    const piece = await this.#read(index);
    if (this.seekable) {
      const first = await this.#marks.check(index, piece);
      if (first && cipher.legacy) this.#whole.update(piece);
    } else if (cipher.legacy) {
      this.#whole.update(piece);
    }
    const sealed = await cipher.seal(index, index === this.total - 1, piece);
    const frame = chunkFrame(fileId, index, sealed, spare);
    release(sealed);
    if (this.#r.owned) release(piece);
    return frame;
  }

  /** @param {number} index */
  async #read(index) {
    if (index !== this.#at && !this.seekable) throw goneBack();
    const n = Math.min(CHUNK_SIZE, this.#r.size - index * CHUNK_SIZE);
    let piece;
    try {
      piece = await this.#r.read(index * CHUNK_SIZE, n);
    } catch (cause) {
      throw new FastPortError('source_changed', `file: it cannot be read: ${asError(cause).message}`, { cause });
    }
    if (piece.length !== n) throw changed();
    this.#at = index + 1;
    return piece;
  }

  /**
   * The hash that end_file carries, once all was read: suite 1's alone, for a hash in the open would tell the server which file it is.
   */
  end() {
    return this.#cipher?.legacy ? this.#whole.hex() : undefined;
  }

  close() {
    return this.#r.close();
  }
}

const MARK = 16;

/** Tells whether a chunk is the same as before, at 16 bytes of memory a chunk. */
class Marks {
  #marks = new Uint8Array(64 * MARK);
  #count = 0;

  /**
   * True: it is seen for the first time.
   * @param {number} index
   * @param {Bytes} piece
   */
  async check(index, piece) {
    const mark = new Uint8Array(await subtle().digest('SHA-256', piece)).subarray(0, MARK);
    const at = index * MARK;
    if (index < this.#count) {
      if (!mark.every((b, i) => b === this.#marks[at + i])) throw changed();
      return false;
    }
    if (at >= this.#marks.length) {
      const more = new Uint8Array(2 * this.#marks.length);
      more.set(this.#marks);
      this.#marks = more;
    }
    this.#marks.set(mark, at);
    this.#count = index + 1;
    return true;
  }
}

export const goneBack = () => new FastPortError('stalled', 'file: a receiver has lost more than can be sent again');
export const changed = () => new FastPortError('source_changed', 'file: it is not what it was when it was begun');

/** @param {string} message */
const bad = (message) => new FastPortError('bad_request', message);
