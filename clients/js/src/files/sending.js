import { Signal } from '../async.js';
import { FastPortError, isCode, refusal } from '../errors.js';
import { CHUNK_SIZE, FILE_WINDOW, RECEIVER_STALL, SENDER_AWAY } from '../frames.js';
import { goneBack } from './source.js';

/** @typedef {import('../connection.js').Connection} Connection */
/** @typedef {import('../frames.js').ServerFrame} ServerFrame */
/** @typedef {import('../crypto/bytes.js').Bytes} Bytes */

/**
 * How far a file is.
 * @typedef {object} FileProgress
 * @property {string} fileId
 * @property {string} fileName
 * @property {number} size bytes in all
 * @property {number} done bytes that every receiver has written (sending), or that are written here (receiving)
 * @property {number} [receivers] sending only: how many are taking it
 * @property {string} [sha256] sending only: of the content, in hex; empty where the source is read once
 */

// How many chunks of one file go out before something else may.
const BATCH = 4;
// How long a file may stand still while its connection is up. The server gives up its receivers earlier.
const STALL = 2 * RECEIVER_STALL;
// Between two init_file of one that comes back.
const AGAIN = 500;

/**
 * What a file that can't be read again holds in its ring for receivers who may be yet to come back. A server that has lost the file itself learns of
 * its receivers one by one, and the last to come may be the furthest behind.
 */
class Keeping {
  #receivers = 0; // how many there were, until as many are back; 0: nothing is kept
  #from = 0;
  #until = 0; // a server waits no longer for one that is away
  #sure = false; // the server has lost the file; else they may have left it

  /**
   * Keeps what is beyond from for so many receivers, unless something is kept already.
   * @param {number} receivers
   * @param {number} from
   * @param {boolean} sure
   */
  begin(receivers, from, sure) {
    if (this.#receivers === 0) [this.#receivers, this.#from] = [receivers, from];
    this.#sure ||= sure;
    this.#until = performance.now() + RECEIVER_STALL;
  }

  /**
   * Takes how many receivers there are now.
   * @param {number} receivers
   * @param {boolean} back in the same word the file goes back
   */
  count(receivers, back) {
    const all = receivers >= this.#receivers || performance.now() > this.#until;
    if (!all && back) this.#sure = true;
    else if (all || !this.#sure) { // those who are gone have left it
      this.#receivers = 0;
      this.#sure = false;
    }
  }

  /**
   * The first chunk that may be asked for, of a file that is at acked.
   * @param {number} acked
   */
  least(acked) {
    return this.#receivers > 0 && performance.now() < this.#until ? Math.min(this.#from, acked) : acked;
  }
}

/** One file on its way out: a window of sealed chunks between its source and the connection. */
export class Sending {
  /** The window or the state has changed. */
  changed = new Signal();

  #chunks;
  #init;
  #name;
  #size;
  /** @type {Connection | null} the one that it is on; null: none yet */
  #conn = null;
  #asked = false; // init_file has gone out on it
  #begun = false; // and was answered: chunks may go
  #resumed = false; // it is not the first
  #notBefore = 0; // for init_file to be sent again
  #away = 0; // since when it has no connection; 0: it has
  #moved = performance.now(); // when acked last grew, or the file got its connection
  /** @type {Bytes[]} */
  #ring = new Array(FILE_WINDOW);
  #first = 0; // the ring holds nothing before it
  #sealed = 0; // chunks sealed
  #high = 0; // the most that were ever sealed
  #cursor = 0; // the chunk to go out next
  #acked = 0; // written by every receiver
  #kept = new Keeping();
  #told = 0; // the last acked that the server sent
  #turn = 0; // counts goings back beyond the ring
  #receivers = 0;
  /** @type {string | undefined} end_file's */
  #hash;
  #ended = false; // end_file is out
  #cancelled = false;
  #done = false;
  /** @type {unknown} */
  #error = null;

  /**
   * @param {import('../frames.js').ClientFrame & { fileId: string, topic: string }} init
   * @param {import('./source.js').Chunks} chunks
   * @param {string} name
   * @param {number} size
   * @param {boolean} begun an earlier process has sent some of it
   */
  constructor(init, chunks, name, size, begun) {
    this.#init = init;
    this.#chunks = chunks;
    this.#name = name;
    this.#size = size;
    if (chunks.total === 0) this.#hash = chunks.end();
    if (!begun) return;
    this.#resumed = true;
    this.#high = chunks.total;
    this.#away = performance.now();
  }

  get id() {
    return this.#init.fileId;
  }

  /**
   * Seals chunk after chunk as the window allows, until the file is done or has failed.
   * @param {((p: FileProgress) => void) | undefined} onProgress
   */
  async produce(onProgress) {
    const timer = setInterval(() => this.#check(), 1000);
    let told = '';
    try {
      for (;;) {
        const state = this.#progress();
        if (onProgress && `${state.done} ${state.receivers}` !== told) {
          told = `${state.done} ${state.receivers}`;
          onProgress(state);
        }
        if (this.#error) throw this.#error;
        if (this.#done) return;
        if (this.#sealed < Math.min(this.#chunks.total, this.#needed() + FILE_WINDOW)) await this.#sealNext();
        else await this.changed.wait();
      }
    } finally {
      clearInterval(timer);
    }
  }

  /** The first chunk that may still be asked for. */
  #needed() {
    return this.#chunks.seekable ? this.#acked : this.#kept.least(this.#acked);
  }

  async #sealNext() {
    const index = this.#sealed, turn = this.#turn;
    // What lies in the slot is a window behind: every receiver has it.
    const spare = index - FILE_WINDOW < this.#needed() ? this.#ring[index % FILE_WINDOW] : undefined;
    const frame = await this.#chunks.frame(this.id, index, spare);
    if (turn !== this.#turn) return; // asked for before the file went back
    if (index === this.#chunks.total - 1) this.#hash = this.#chunks.end();
    this.#ring[index % FILE_WINDOW] = frame;
    this.#sealed++;
    this.#high = Math.max(this.#high, this.#sealed);
    this.#conn?.wake();
  }

  /** @returns {FileProgress} */
  #progress() {
    return {
      fileId: this.id, fileName: this.#name, size: this.#size, done: Math.min(this.#size, this.#acked * CHUNK_SIZE), receivers: this.#receivers,
      sha256: this.#chunks.sha256,
    };
  }

  /**
   * Gives the file a connection if it has none that is up.
   * @param {Connection | null} k
   */
  move(k) {
    if (this.#conn && !this.#conn.isDown) return;
    if (this.#conn && this.#away === 0) this.#away = performance.now();
    if (!k || k.isDown) return;
    this.#resumed ||= this.#asked;
    this.#kept.begin(this.#receivers, this.#acked, true);
    this.#conn = k;
    this.#asked = this.#begun = this.#ended = false;
    this.#moved = performance.now();
    k.wake();
  }

  /**
   * Sends what k is to send of it. True: there is more.
   * @param {Connection} k
   */
  pull(k) {
    if (this.#conn !== k || this.#error) return false;
    if (!this.#asked && performance.now() >= this.#notBefore) {
      this.#asked = true;
      k.send(this.#init);
    }
    if (!this.#begun) return false;
    for (let n = 0; this.#cursor < this.#sealed; n++) {
      if (n === BATCH) return true;
      k.sendBinary(this.#ring[this.#cursor % FILE_WINDOW]);
      this.#cursor++;
    }
    if (this.#cursor === this.#chunks.total && !this.#ended) {
      this.#ended = true;
      k.send({ type: 'end_file', fileId: this.id, topic: this.#init.topic, ...(this.#hash && { hash: this.#hash }) });
    }
    return false;
  }

  /**
   * Takes a file_progress.
   * @param {Connection} k
   * @param {ServerFrame} f
   */
  progress(k, f) {
    if (this.#conn !== k || !this.#asked) return; // an old connection's
    const receivers = f.receivers ?? 0, told = f.acked ?? 0, back = told < this.#told;
    this.#kept.count(receivers, back);
    if (receivers < this.#receivers && !back) this.#kept.begin(this.#receivers, this.#acked, false); // until the next word shows which it is
    this.#receivers = receivers;
    const acked = Math.min(told, this.#high); // nobody has what was never sent
    if (f.done) {
      this.#acked = this.#chunks.total;
      this.#done = true;
    } else if (!this.#begun && this.#resumed && !this.#reaches(acked)) {
      // A server that has lost the file itself learns from the receivers, as they come back, how far they are.
    } else if (!this.#begun || back) {
      // Answered to init_file, this is where to go on; less than before, where to go back to.
      this.#begun = true;
      this.#away = 0;
      this.#goTo(acked);
    } else if (acked > this.#sealed) {
      this.#goTo(acked);
    } else if (acked > this.#acked) {
      this.#acked = acked;
      this.#cursor = Math.max(this.#cursor, acked);
      this.#moved = performance.now();
    }
    this.#told = told;
    this.changed.notify();
    k.wake();
  }

  /**
   * Can a chunk go out next without being sealed again?
   * @param {number} index
   */
  #held(index) {
    return index <= this.#sealed && index >= Math.max(this.#first, this.#sealed - FILE_WINDOW);
  }

  /** @param {number} index */
  #reaches(index) {
    return this.#chunks.seekable || this.#held(index);
  }

  /**
   * Makes index the chunk to go out next.
   * @param {number} index
   */
  #goTo(index) {
    if (!this.#reaches(index)) {
      this.fail(goneBack());
      return;
    }
    const held = this.#held(index);
    this.#acked = this.#cursor = index;
    this.#ended = false;
    this.#moved = performance.now();
    if (!held) {
      this.#turn++;
      this.#first = this.#sealed = index;
    }
  }

  /**
   * Takes the server's refusal. Coming back, the file may be found in use for a moment, its old connection not being known to be gone, or without
   * its receivers, who are coming back too.
   * @param {Connection} k
   * @param {ServerFrame} f
   */
  refused(k, f) {
    if (this.#conn !== k || this.#error) return;
    const err = refusal(f);
    const passing = ['conflict', 'no_receivers', 'unavailable', 'quota_exceeded'].includes(err.code);
    if (passing && this.#resumed && !this.#begun && performance.now() - this.#away < SENDER_AWAY) {
      this.#asked = false;
      this.#notBefore = performance.now() + AGAIN;
      return;
    }
    this.fail(err);
  }

  /** @param {unknown} err */
  fail(err) {
    this.#error ??= err;
    this.changed.notify();
  }

  /** Tells the receivers that the rest will never come, once. */
  cancel() {
    if (this.#cancelled) return;
    this.#cancelled = true;
    if (this.#asked && this.#conn && !this.#conn.isDown) this.#conn.send({ type: 'cancel_file', fileId: this.id, topic: this.#init.topic });
  }

  /** Keeps the timeouts, and wakes what waits for a moment. */
  #check() {
    const now = performance.now();
    const owing = !this.#begun || this.#cursor > this.#acked || this.#ended;
    if (this.#away > 0 ? now - this.#away > SENDER_AWAY : owing && now - this.#moved > STALL) {
      this.fail(new FastPortError('stalled', 'file: it makes no progress', { fileId: this.id }));
    } else if (!this.#asked) {
      this.#conn?.wake();
    }
  }
}

/** The files on their way out. */
export class Sendings {
  /** @type {Map<string, Sending>} */
  #list = new Map();
  /** @type {unknown} no more are taken */
  #error = null;

  /**
   * Takes a file from its start to its end.
   * @param {Sending} t
   * @param {Connection | null} k
   * @param {((p: FileProgress) => void) | undefined} onProgress
   */
  async run(t, k, onProgress) {
    if (this.#error) throw this.#error;
    if (this.#list.has(t.id)) throw new FastPortError('conflict', 'this file is being sent already', { fileId: t.id });
    this.#list.set(t.id, t);
    t.move(k);
    try {
      await t.produce(onProgress);
    } catch (err) {
      t.cancel();
      throw err;
    } finally {
      this.#list.delete(t.id);
    }
  }

  /** @param {Connection | null} k */
  move(k) {
    for (const t of this.#list.values()) t.move(k);
  }

  /**
   * Sends a few chunks of each file that is on k. True: there is more.
   * @param {Connection} k
   */
  pull(k) {
    let more = false;
    for (const t of this.#list.values()) more = t.pull(k) || more;
    return more;
  }

  /**
   * @param {Connection} k
   * @param {ServerFrame} f
   */
  progress(k, f) {
    this.#list.get(f.fileId ?? '')?.progress(k, f);
  }

  /**
   * Takes a file_error. False: it is about no file that goes out.
   * @param {Connection} k
   * @param {ServerFrame} f
   */
  refused(k, f) {
    const t = this.#list.get(f.fileId ?? '');
    t?.refused(k, f);
    return t !== undefined;
  }

  /** @param {unknown} err */
  cancelAll(err) {
    this.#error ??= err;
    for (const t of this.#list.values()) {
      t.fail(err);
      if (isCode(err, 'closed')) t.cancel();
    }
  }
}
