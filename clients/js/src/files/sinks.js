import { concat } from '../crypto/bytes.js';
import { FastPortError } from '../errors.js';

/** @typedef {import('../crypto/bytes.js').Bytes} Bytes */
/** @typedef {import('./incoming.js').FileOffer} FileOffer */

/**
 * Takes one file's content, in order. Exactly one of close and abort ends it. Content that a `write` has not taken yet is not
 * acked, so a slow sink slows its sender.
 * @typedef {object} FileSink
 * @property {(piece: Bytes) => unknown} write the piece is the sink's to keep
 * @property {() => unknown} close the content is whole and right. What it returns, or its promise, is handed to the handler of onFile
 * @property {(reason: Error) => unknown} abort the rest will never come
 * @property {(next: number, sum: { length: number, state: number[] }) => unknown} [mark] all chunks before next are written, and this is their hash so far:
 *   for a sink that keeps files over the end of a page
 */

/**
 * What `save` may return, besides null to decline.
 * @typedef {FileSink | WritableStream<Uint8Array>} SaveTo
 */

/**
 * @param {unknown} to
 * @returns {FileSink}
 */
export function sinkOf(to) {
  if (typeof WritableStream === 'function' && to instanceof WritableStream) {
    const w = to.getWriter();
    return {
      write: async (piece) => {
        await w.ready;
        await w.write(piece);
      },
      close: () => w.close(),
      abort: (reason) => w.abort(reason),
    };
  }
  const sink = /** @type {Partial<FileSink>} */ (to);
  if (typeof sink?.write === 'function' && typeof sink.close === 'function' && typeof sink.abort === 'function') return /** @type {FileSink} */ (to);
  throw new FastPortError('bad_option', 'save: it returned neither a WritableStream nor an object with write, close and abort');
}

const MEMORY = 32 << 20;

/**
 * A `save` for onFile that keeps a file in memory; the handler gets a Uint8Array. This is what onFile does by itself. What is larger than the
 * limit is not taken, and `onError` gets `too_large`.
 * @param {{ limit?: number }} [options] bytes. Default: 32 MiB
 * @returns {(offer: FileOffer) => FileSink}
 */
export function toMemory({ limit = MEMORY } = {}) {
  return ({ size }) => {
    if (size > limit) {
      throw new FastPortError('too_large', `file: of ${size} bytes, and at most ${limit} are taken into memory; give onFile a save that writes to disk`);
    }
    /** @type {Bytes[]} */
    let pieces = [];
    return {
      write: (piece) => { pieces.push(piece); },
      close: () => concat(...pieces),
      abort: () => { pieces = []; },
    };
  };
}

/**
 * A `save` for onFile that streams each file to disk, into a directory: a path on Node (the handler gets the file's path), in a browser a
 * FileSystemDirectoryHandle, as showDirectoryPicker() or navigator.storage.getDirectory() give it (the handler gets a File). A file is written
 * under a temporary name, and gets its own, the last element of the one that its sender chose, once it is whole and right.
 * @param {string | FileSystemDirectoryHandle} directory
 * @param {{ overwrite?: boolean, maxSize?: number }} [options] overwrite: a file replaces one of the same name; else it becomes "name (1).ext". maxSize, in
 *   bytes: what is larger is declined
 * @returns {(offer: FileOffer) => Promise<FileSink | null>}
 */
export function toDirectory(directory, { overwrite = false, maxSize = Infinity } = {}) {
  return async (offer) => {
    if (offer.size > maxSize) return null;
    if (typeof directory === 'string') return (await import('./disk.js')).diskSink(directory, offer.fileName, overwrite);
    return (await import('./handle.js')).handleSink(directory, offer.fileName, overwrite);
  };
}

/**
 * A `save` for onFile that streams each file to the disk space that a browser gives to a page; the handler gets a File, to be shown, or to be
 * given to the user as a download. A browser without such space, and Node, keep it in memory, bounded as toMemory does: `onFallback` is told
 * so once.
 *
 * Where the client has a clientId, a file outlives its page: one that comes again within half a minute with the same clientId goes on where the file stood.
 * @param {{ folder?: string, limit?: number, onFallback?: (why: string) => void }} [options] folder: default `fastport`
 * @returns {import('./incoming.js').Save}
 */
export function toBrowserStorage({ folder = 'fastport', limit = MEMORY, onFallback = (why) => console.warn('fastPort:', why) } = {}) {
  /** @type {Promise<FileSystemDirectoryHandle | null> | undefined} */
  let opened;
  const open = async () => {
    try {
      const root = await navigator.storage.getDirectory();
      const handle = await root.getDirectoryHandle(folder, { create: true });
      if (typeof FileSystemFileHandle.prototype.createWritable === 'function') return handle;
    } catch {
      // not here, or not to this page
    }
    onFallback(`no disk space for files here: they are kept in memory, up to ${limit} bytes each`);
    return null;
  };
  /** @type {Promise<import('./parts.js').Parts | null> | undefined} what keeps files over the end of the page; null: the browser cannot */
  let kept;
  const keeps = async () => {
    if (typeof Worker !== 'function' || !await (opened ??= open())) return null;
    return new (await import('./parts.js')).Parts(folder);
  };
  /** @type {import('./incoming.js').Save} */
  const save = async (offer, keep) => {
    const handle = await (opened ??= open());
    if (!handle) {
      const memory = toMemory({ limit })(offer);
      return { ...memory, close: () => new File([/** @type {Bytes} */ (memory.close())], offer.fileName, { type: offer.type }) };
    }
    const parts = keep && await (kept ??= keeps());
    const part = parts ? await parts.begin({ ...keep, fileName: offer.fileName }).catch(() => null) : null;
    return part ?? toDirectory(handle)(offer);
  };
  save.left = async (owner) => await (await (kept ??= keeps()))?.left(owner).catch(() => []) ?? [];
  return save;
}
