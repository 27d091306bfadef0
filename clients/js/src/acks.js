// Acks that wait, while the connection is down above all. Of more the oldest are dropped: the server sends those messages again, and
// they are acked again.
const MAX_ACKS = 8192;
// How many ids one frame carries.
const BATCH = 256;

/**
 * The acks to be sent. While one write is under way they gather, so that a busy client sends few frames and an idle one waits for nothing.
 */
export class Acks {
  /** @type {{ topic: string, id: string }[]} */
  #queue = [];

  /**
   * @param {string} topic
   * @param {string} id
   */
  add(topic, id) {
    if (this.#queue.length >= MAX_ACKS) this.#queue.splice(0, MAX_ACKS / 4);
    this.#queue.push({ topic, id });
  }

  /**
   * Sends all that wait, a frame for each topic and batch. True: there was something.
   * @param {import('./connection.js').Connection} k
   */
  pull(k) {
    if (this.#queue.length === 0) return false;
    /** @type {Map<string, string[]>} */
    const topics = new Map();
    for (const { topic, id } of this.#queue) {
      const ids = topics.get(topic);
      if (ids) ids.push(id);
      else topics.set(topic, [id]);
    }
    this.#queue = [];
    for (const [topic, ids] of topics) {
      for (let i = 0; i < ids.length; i += BATCH) {
        const batch = ids.slice(i, i + BATCH);
        k.send(batch.length === 1 ? { type: 'ack', messageId: batch[0], topic } : { type: 'ack', topic, messageIds: batch });
      }
    }
    return true;
  }
}
