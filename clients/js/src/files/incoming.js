import { Signal } from '../async.js';
import { release } from '../crypto/bytes.js';
import { legacyCipher, openMeta } from '../crypto/file.js';
import { Sha256 } from '../crypto/sha256.js';
import { FastPortError, asError, isCode, refusal } from '../errors.js';
import { CHUNK_SIZE, FILE_ACK_EVERY, FILE_WINDOW, RECEIVER_STALL, SENDER_AWAY } from '../frames.js';
import { sinkOf } from './sinks.js';

/** @typedef {import('../connection.js').Connection} Connection */
/** @typedef {import('../frames.js').ServerFrame} ServerFrame */
/** @typedef {import('../crypto/bytes.js').Bytes} Bytes */
/** @typedef {import('../crypto/file.js').FileCipher} FileCipher */
/** @typedef {import('./sinks.js').FileSink} FileSink */

/**
 * Describes a file that is about to come.
 * @typedef {object} FileOffer
 * @property {string} fileId
 * @property {string} topic
 * @property {string} fileName as its sender chose it: any text, to be trusted as a file name by nobody
 * @property {number} size bytes
 * @property {string} type media type; empty where the sender gave none
 * @property {string} sha256 of the content, in hex; empty where the sender did not know it
 * @property {boolean} legacy suite 1: the server saw the name, and nothing proves who sent it
 */

/**
 * Says where a file goes; null: nowhere. One that keeps files over the end of a page gets what it needs for that (null: the client has no
 * clientId, nobody would come back), and has `left`, which gives what it kept for a subscriber's topic.
 * @typedef {((offer: FileOffer, keep: { owner: Owner, init: ServerFrame } | null) => unknown) & { left?: (owner: Owner) => Promise<Kept[]> }} Save
 */

/**
 * Whose file it is.
 * @typedef {object} Owner
 * @property {string} session
 * @property {string} clientId
 * @property {string} topic
 */

/**
 * A file of which an earlier page had taken a part.
 * @typedef {object} Kept
 * @property {ServerFrame} init
 * @property {number} next the first chunk that is not there
 * @property {Sha256} sum of what is there
 * @property {FileSink} sink
 */

// How often a file_ack goes out: often enough that a sender's window never runs dry.
const ACK_EVERY = FILE_ACK_EVERY / 2;
// How long nothing may come of a file: its sender may be away, and a receiver stand still.
const GIVE_UP = SENDER_AWAY + RECEIVER_STALL;
// Between two file_resume.
const AGAIN = 500;
// After how many chunks a sink that keeps files notes how far it is.
const MARK_EVERY = FILE_WINDOW;

/**
 * One file on its way in: a window of sealed chunks between the connection, and what opens and writes them.
 */
export class Incoming {
  /** @type {FileOffer} until it is opened, what the server says */
  offer;
  /** @type {FileCipher | null} */
  #cipher = null;
  #total;
  #init;
  #wake = new Signal();
  #sum;
  #bytes = 0;
  /** @type {unknown} suite 1: a chunk did not open, see #open */
  #bad = null;
  /** @type {FileSink | null} */
  #sink = null;
  /** @type {unknown} what the sink's end gave */
  #result;

  #conn;
  /** @type {Bytes[]} payloads of the chunks taken to expect */
  #queue = [];
  #expect = 0; // the next index to come
  #taken = 0; // the next to be written
  #acked = 0; // the last next that was sent
  #due = false; // a file_ack is to be sent
  #resume = false; // a file_resume is to be sent
  #again = 0; // not before
  #asked = false; // one was sent, and no chunk has come since
  #ended = false; // end_file has come
  #hash = '';
  #moved = performance.now();
  /** @type {unknown} */
  #error = null;

  /**
   * Takes a file from its init_file on: its chunks may come before that is opened. One of which a part is kept goes on behind that.
   * @param {ServerFrame} f
   * @param {Connection} k
   * @param {Kept} [kept]
   */
  constructor(f, k, kept) {
    this.offer = {
      fileId: f.fileId ?? '', topic: f.topic ?? '', fileName: f.fileName ?? '', size: f.fileSize ?? -1, type: '', sha256: '', legacy: f.meta === undefined,
    };
    this.#init = f;
    this.#conn = k;
    this.#total = f.totalChunks ?? 0;
    this.#sum = kept?.sum ?? new Sha256();
    if (!kept) return;
    this.#sink = kept.sink;
    this.#taken = kept.next;
    this.#bytes = Math.min(kept.next * CHUNK_SIZE, f.fileSize ?? 0);
    this.#restartOn(k);
  }

  get total() {
    return this.#total;
  }

  get conn() {
    return this.#conn;
  }

  /** Was it ended by the other side? */
  get gone() {
    return this.#error !== null && !isCode(this.#error, 'closed');
  }

  /** Of suite 1 the end looks the same whether it opened or not. */
  get allTaken() {
    return this.#taken === this.#total;
  }

  /**
   * Takes the file to its end, and returns what its sink made of it.
   * @param {import('../crypto/keyring.js').KeyRing} ring
   * @param {boolean} allowLegacy
   * @param {(offer: FileOffer, init: ServerFrame) => unknown} save says where it goes; null: nowhere
   * @param {((p: import('./sending.js').FileProgress) => void) | undefined} onProgress
   */
  async run(ring, allowLegacy, save, onProgress) {
    const timer = setInterval(() => this.#check(), 1000);
    try {
      await this.#openOffer(ring, allowLegacy);
      this.#sink ??= await this.#place(save);
      for (;;) {
        if (this.#error) throw this.#error;
        const payload = this.#queue[0];
        if (payload) {
          await this.#write(this.#taken, payload);
          onProgress?.({ fileId: this.offer.fileId, fileName: this.offer.fileName, size: this.offer.size, done: this.#bytes });
        } else if (await this.#finished()) {
          return this.#result;
        } else {
          await this.#wake.wait();
        }
      }
    } catch (err) {
      const sink = this.#sink;
      this.#sink = null;
      await Promise.resolve(sink?.abort(asError(err))).catch(() => {}); // the reason is the first error
      throw err;
    } finally {
      clearInterval(timer);
    }
  }

  /** @param {(offer: FileOffer, init: ServerFrame) => unknown} save */
  async #place(save) {
    const to = await save(this.offer, this.#init);
    if (!to) throw declined();
    return sinkOf(to);
  }

  /**
   * Takes the init_file apart. What counts is what was sealed, not what the server says.
   * @param {import('../crypto/keyring.js').KeyRing} ring
   * @param {boolean} allowLegacy
   */
  async #openOffer(ring, allowLegacy) {
    const { meta } = this.#init;
    if (meta === undefined) {
      if (!allowLegacy) throw new FastPortError('legacy_refused', 'sealed with suite 1, which is not allowed here');
      this.#cipher = legacyCipher(ring);
    } else {
      const opened = await openMeta(ring, this.offer.fileId, meta);
      this.#cipher = opened.cipher;
      const { name, size, type, sha256 } = opened.meta;
      this.offer = { ...this.offer, fileName: name, size, type: type ?? '', sha256: sha256 ?? '' };
    }
    const { size } = this.offer;
    if (!Number.isSafeInteger(size) || size < 0 || Math.ceil(size / CHUNK_SIZE) !== this.#init.totalChunks) throw corrupt();
  }

  /**
   * Opens a chunk, writes it, and lets it be acked.
   * @param {number} index
   * @param {Bytes} payload
   */
  async #write(index, payload) {
    await this.#open(index, payload);
    // Whole and right can be told now: what is acked as the end is then safely there.
    if (index === this.#total - 1 && this.offer.sha256) await this.#commit(this.offer.sha256);
    this.#queue.shift();
    release(payload);
    this.#taken = index + 1;
    this.#moved = performance.now();
    if (this.#taken - this.#acked >= ACK_EVERY || this.allTaken) {
      this.#due = true;
      this.#conn.wake();
    }
  }

  /**
   * Writes a chunk's plaintext. A chunk of suite 1 that does not open is acked like any other, and the file fails at its end: an answer that
   * told one failure from another would open chunks to whoever sends forgeries.
   * @param {number} index
   * @param {Bytes} payload
   */
  async #open(index, payload) {
    if (this.#bad) return;
    const last = index === this.#total - 1;
    const size = last ? this.offer.size - index * CHUNK_SIZE : CHUNK_SIZE;
    let plaintext;
    try {
      plaintext = await /** @type {FileCipher} */ (this.#cipher).open(index, last, payload);
      if (plaintext.length !== size) throw corrupt();
    } catch (err) {
      if (!this.offer.legacy) throw err;
      this.#bad = corrupt();
      return;
    }
    this.#sum.update(plaintext);
    this.#bytes += size;
    await this.#sink?.write(plaintext); // whose memory is the sink's from here on
    if (!last && (index + 1) % MARK_EVERY === 0) await this.#sink?.mark?.(index + 1, this.#sum.save());
  }

  /**
   * Ends the sink, if the content has the hash that is known of it.
   * @param {string} want
   */
  async #commit(want) {
    if (this.#bad) throw this.#bad;
    if (this.#bytes !== this.offer.size || want && want !== this.#sum.hex()) throw corrupt();
    const sink = /** @type {FileSink} */ (this.#sink);
    this.#result = await sink.close();
    this.#sink = null;
  }

  /** Ends the file once all is written: at its last chunk where its hash is known, else at end_file. */
  async #finished() {
    if (!this.allTaken) return false;
    if (!this.#sink) return true; // committed
    if (!this.#ended && !this.offer.sha256) return false;
    await this.#commit(this.offer.sha256 || this.#hash);
    return true;
  }

  /**
   * Takes a chunk, if it is the next: a server that sends again sends some twice.
   * @param {Connection} k
   * @param {number} index
   * @param {Bytes} payload
   */
  chunk(k, index, payload) {
    if (this.#conn !== k || this.#resume || index !== this.#expect || this.#error || index >= this.#total) return;
    if (this.#queue.length >= FILE_WINDOW) {
      this.fail(new FastPortError('stalled', 'file: the server sends beyond the window'));
      return;
    }
    this.#queue.push(payload);
    this.#expect++;
    this.#asked = false;
    this.#moved = performance.now();
    this.#wake.notify();
  }

  /**
   * Takes an end_file.
   * @param {Connection} k
   * @param {string} hash
   */
  end(k, hash) {
    if (this.#conn !== k || this.#resume || this.#expect < this.#total) return;
    this.#ended = true;
    this.#hash = hash;
    this.#moved = performance.now();
    this.#wake.notify();
  }

  /**
   * Gives the file a connection if it has none that is up.
   * @param {Connection | null} k
   */
  move(k) {
    if (k && this.#conn.isDown) this.#restartOn(k);
  }

  /**
   * Puts the file on k. Where it is on another connection that is up, since the client is moving, the newer one (current says whether that is k)
   * keeps it, and the other, which would be a receiver that never comes back, is to leave: it is returned.
   * @param {Connection} k
   * @param {boolean} current
   * @returns {Connection | null}
   */
  restart(k, current) {
    const other = this.#conn !== k && !this.#conn.isDown ? this.#conn : null;
    if (other && !current) return k;
    this.#restartOn(k);
    return other;
  }

  /**
   * Goes on from what is written, or just being written.
   * @param {Connection} k
   */
  #restartOn(k) {
    this.#queue.length = Math.min(this.#queue.length, 1);
    this.#expect = this.#taken + this.#queue.length;
    this.#conn = k;
    this.#resume = true;
    this.#due = false;
    k.wake();
  }

  /**
   * Sends what k is to say about the file.
   * @param {Connection} k
   */
  pull(k) {
    if (this.#conn !== k || this.#error) return;
    const { fileId } = this.offer;
    if (this.#resume && performance.now() >= this.#again) {
      // What comes behind this is what was asked for, what came before it is dropped.
      this.#resume = false;
      this.#asked = true;
      this.#acked = this.#expect;
      k.send({ type: 'file_resume', fileId, next: this.#expect });
    }
    if (this.#due && !this.#resume) {
      this.#due = false;
      this.#acked = this.#taken;
      k.send({ type: 'file_ack', fileId, next: this.#taken });
    }
  }

  /**
   * Takes the end that the server declares. To a file_resume it may say that it knows no such file only because the old connection is not
   * known to be gone, or the sender is yet to come back: then it is asked again.
   * @param {Connection} k
   * @param {ServerFrame} f
   */
  refused(k, f) {
    if (this.#conn !== k) return;
    const cancelled = f.type === 'cancel_file';
    if (!cancelled && f.code === 'not_found' && this.#asked) {
      this.#resume = true;
      this.#again = performance.now() + AGAIN;
      return;
    }
    this.fail(cancelled ? new FastPortError('not_found', 'the sender cancelled the file') : refusal(f));
  }

  /** @param {unknown} err */
  fail(err) {
    this.#error ??= err;
    this.#wake.notify();
  }

  /** Keeps the timeout, and wakes what waits for a moment. */
  #check() {
    if (performance.now() - this.#moved > GIVE_UP) this.fail(new FastPortError('stalled', 'file: nothing comes any more'));
    if (this.#resume) this.#conn.wake();
  }
}

const declined = () => new FastPortError('declined', 'file: not wanted here');
const corrupt = () => new FastPortError('corrupt', 'file: it is not as it was sent');
