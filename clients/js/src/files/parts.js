// Files on their way into the disk space that a browser gives to a page, in a form that outlives the page: a reload in the middle of a file loses
// nothing of it.
import { Deferred, pause } from '../async.js';
import { Sha256, hashOf } from '../crypto/sha256.js';
import { FastPortError, isCode } from '../errors.js';
import { CHUNK_SIZE, newUUID } from '../frames.js';
import { place } from './handle.js';
import { safeName } from './names.js';
import { partsWorker } from './parts-worker.js';

/** @typedef {import('../crypto/bytes.js').Bytes} Bytes */
/** @typedef {import('./incoming.js').Kept} Kept */
/** @typedef {import('./incoming.js').Owner} Owner */

/**
 * What is noted of a part.
 * @typedef {object} Note
 * @property {Owner} owner
 * @property {import('../frames.js').ServerFrame} init
 * @property {string} fileName
 * @property {number} next chunks that are surely there
 * @property {{ length: number, state: number[] }} sum their hash so far
 * @property {number} at ms since 1970
 */

// A part that nobody asks for is dropped after so long: its sender has given up long ago.
const STALE = 3600_000;
// A page that was reloaded may not have let go of its files yet.
const LOCKED_TRIES = 50;
const LOCKED_PAUSE = 100;

/** The parts in one folder of a page's disk space. */
export class Parts {
  #folder;
  #worker;
  /** @type {Map<number, Deferred<any>>} */
  #asked = new Map();
  #count = 0;
  /** @type {Error | null} */
  #error = null;

  /** @param {string} folder */
  constructor(folder) {
    this.#folder = folder;
    const text = new Blob([`(${partsWorker})()`], { type: 'text/javascript' });
    const url = URL.createObjectURL(text);
    this.#worker = new Worker(url);
    this.#worker.onmessage = ({ data: { id, result, error } }) => {
      const d = this.#asked.get(id);
      this.#asked.delete(id);
      if (error === undefined) d?.resolve(result);
      else d?.reject(new FastPortError('unsupported', `the page's disk space: ${error}`));
    };
    this.#worker.onerror = () => { // a page's policy may forbid it
      this.#error = new FastPortError('unsupported', 'this page has no workers');
      for (const d of this.#asked.values()) d.reject(this.#error);
      this.#asked.clear();
    };
  }

  /**
   * @param {string} op
   * @param {unknown[]} args
   * @param {Transferable[]} [transfer]
   */
  async #ask(op, args, transfer = []) {
    if (this.#error) throw this.#error;
    const id = this.#count++, d = new Deferred();
    this.#asked.set(id, d);
    this.#worker.postMessage({ id, op, args }, transfer);
    return /** @type {Promise<any>} */ (d.promise);
  }

  /**
   * Begins a part.
   * @param {Omit<Note, 'next' | 'sum' | 'at'>} about
   * @returns {Promise<import('./sinks.js').FileSink>}
   */
  async begin(about) {
    const name = prefixOf(about.owner) + newUUID();
    await this.#ask('create', [this.#folder, name]);
    const sink = this.#sink(name, 0, about);
    await sink.mark?.(0, new Sha256().save());
    return sink;
  }

  /**
   * What is left of a subscriber's files on a topic, and ready to go on.
   * @param {Owner} owner
   * @returns {Promise<Kept[]>}
   */
  async left(owner) {
    /** @type {string[]} */
    const names = await this.#ask('list', [this.#folder]);
    const its = prefixOf(owner);
    const kept = await Promise.all(names.map((name) => (name.startsWith(its) ? this.#take(name) : this.#tidy(name)).catch(() => null)));
    return kept.filter((k) => k !== null);
  }

  /**
   * Opens a part. Null: it is of no use any more, and gone.
   * @param {string} name
   * @returns {Promise<{ note: Note, size: number } | null>}
   */
  async #open(name) {
    const found = await this.#ask('take', [this.#folder, name]);
    if (!found) throw new FastPortError('conflict', 'another page has this file');
    const note = parse(found.note);
    if (note && Date.now() - note.at < STALE) return { note, size: found.size };
    await this.#ask('drop', [this.#folder, name]);
    return null;
  }

  /**
   * Looks whether another's part is of use.
   * @param {string} name
   * @returns {Promise<null>}
   */
  async #tidy(name) {
    if (await this.#open(name)) await this.#ask('shut', [name]);
    return null;
  }

  /**
   * @param {string} name
   * @returns {Promise<Kept | null>}
   */
  async #take(name) {
    let found;
    for (let tries = 1; found === undefined; tries++) {
      try {
        found = await this.#open(name);
      } catch (err) {
        if (tries === LOCKED_TRIES) throw err;
        await pause(LOCKED_PAUSE);
      }
    }
    if (!found) return null;
    const { note, size } = found;
    // What was written after the last note is there as well, unless the machine went down: it is read for its hash.
    const sum = Sha256.restore(note.sum);
    const whole = Math.floor(size / CHUNK_SIZE);
    let next = note.next;
    for (; next < whole && (next + 1) * CHUNK_SIZE < (note.init.fileSize ?? 0); next++) {
      sum.update(await this.#ask('read', [name, next * CHUNK_SIZE, CHUNK_SIZE]));
    }
    return { init: note.init, next, sum, sink: this.#sink(name, next * CHUNK_SIZE, note) };
  }

  /**
   * @param {string} name
   * @param {number} from
   * @param {Omit<Note, 'next' | 'sum' | 'at'>} about
   * @returns {import('./sinks.js').FileSink}
   */
  #sink(name, from, { owner, init, fileName }) {
    let at = from;
    return {
      write: async (piece) => {
        const here = at;
        at += piece.length;
        await this.#ask('write', [name, here, piece], [piece.buffer]);
      },
      mark: async (next, sum) => {
        /** @type {Note} */
        const note = { owner, init, fileName, next, sum, at: Date.now() };
        await this.#ask('note', [name, JSON.stringify(note)]);
      },
      close: async () => {
        await this.#ask('finish', [this.#folder, name]);
        const folder = await (await navigator.storage.getDirectory()).getDirectoryHandle(this.#folder);
        const handle = await folder.getFileHandle(name + '.part');
        return (await place(folder, handle, safeName(fileName), false)).getFile();
      },
      abort: async (reason) => {
        // Another page of this very device has begun: it goes on with it.
        if (isCode(reason, 'taken_over')) await this.#ask('shut', [name]);
        else await this.#ask('drop', [this.#folder, name]);
      },
    };
  }
}

/**
 * What the names of an owner's parts begin with.
 * @param {Owner} owner
 */
const prefixOf = ({ session, clientId, topic }) => hashOf(JSON.stringify([session, clientId, topic])).slice(0, 16) + '-';

/**
 * @param {string} text
 * @returns {Note | null}
 */
function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null; // the machine went down while it was written
  }
}
