// What runs in a worker of its own, for there alone a browser writes to a file in place: what is written is there if the page goes. It is
// loaded from its own text (see parts.js), so it uses nothing of what stands around it.

/**
 * @typedef {object} SyncHandle
 * @property {() => number} getSize
 * @property {(into: Uint8Array, options: { at: number }) => number} read
 * @property {(from: Uint8Array, options: { at: number }) => number} write
 * @property {(size: number) => void} truncate
 * @property {() => void} flush
 * @property {() => void} close
 */

/**
 * Answers each { id, op, args } by { id, result } or { id, error }, one after the other. A part is two files: its content, NAME.part, and what is known of
 * it, NAME.json. Both are locked while it is open, so that of two pages one has it.
 */
export function partsWorker() {
  /** @type {Map<string, { data: SyncHandle, note: SyncHandle }>} */
  const open = new Map();

  /** @param {string} folder */
  const enter = async (folder) => (await navigator.storage.getDirectory()).getDirectoryHandle(folder, { create: true });

  /**
   * @param {FileSystemDirectoryHandle} folder
   * @param {string} file
   * @param {boolean} create
   * @returns {Promise<SyncHandle>}
   */
  const lock = async (folder, file, create) => /** @type {any} */ (await folder.getFileHandle(file, { create })).createSyncAccessHandle();

  /**
   * @param {FileSystemDirectoryHandle} folder
   * @param {string} name
   * @param {boolean} create
   */
  const take = async (folder, name, create) => {
    const data = await lock(folder, name + '.part', create);
    try {
      const part = { data, note: await lock(folder, name + '.json', create) };
      open.set(name, part);
      return part;
    } catch (err) {
      data.close();
      throw err;
    }
  };

  /** @param {string} name */
  const shut = (name) => {
    const part = open.get(name);
    open.delete(name);
    part?.data.close();
    part?.note.close();
  };

  /** @param {string} name */
  const known = (name) => {
    const part = open.get(name);
    if (!part) throw new Error('this part is not open');
    return part;
  };

  /** @type {Record<string, (...args: any[]) => unknown>} */
  const ops = {
    /** Begins a part. */
    async create(folder, name) {
      await take(await enter(folder), name, true);
    },
    /** Lists the parts in a folder. */
    async list(folder) {
      const names = [];
      for await (const name of /** @type {any} */ (await enter(folder)).keys()) if (name.endsWith('.json')) names.push(name.slice(0, -5));
      return names;
    },
    /** Opens a part that is there: its note and its size; null where another page has it. */
    async take(folder, name) {
      try {
        const { data, note } = await take(await enter(folder), name, false);
        const text = new Uint8Array(note.getSize());
        note.read(text, { at: 0 });
        return { note: new TextDecoder().decode(text), size: data.getSize() };
      } catch {
        return null;
      }
    },
    write(name, at, piece) {
      const { data } = known(name);
      for (let done = 0; done < piece.length;) {
        const n = data.write(piece.subarray(done), { at: at + done });
        if (n === 0) throw new Error('the disk takes no more');
        done += n;
      }
      piece.buffer.transfer?.(0); // its memory goes at once, not with the next collection
    },
    read(name, at, n) {
      const piece = new Uint8Array(n);
      return piece.subarray(0, known(name).data.read(piece, { at }));
    },
    /** Notes what is known: after the content is on the disk, so that a note never says too much. */
    note(name, text) {
      const { data, note } = known(name);
      data.flush();
      const bytes = new TextEncoder().encode(text);
      note.truncate(0);
      note.write(bytes, { at: 0 });
      note.flush();
    },
    /** Lets go of a whole part's content, and forgets the rest. */
    async finish(folder, name) {
      known(name).data.flush();
      shut(name);
      await (await enter(folder)).removeEntry(name + '.json');
    },
    shut,
    async drop(folder, name) {
      shut(name);
      const from = await enter(folder);
      for (const file of [name + '.part', name + '.json']) await from.removeEntry(file).catch(() => {});
    },
  };

  let last = Promise.resolve();
  onmessage = (e) => {
    const { id, op, args } = e.data;
    last = last.then(async () => {
      try {
        postMessage({ id, result: await ops[op](...args) });
      } catch (err) {
        postMessage({ id, error: String(err) });
      }
    });
  };
}
