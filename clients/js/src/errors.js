/**
 * What a FastPortError may be about, besides its code.
 * @typedef {object} ErrorDetails
 * @property {unknown} [cause] what lies beneath
 * @property {boolean} [retryable] the same again, later, may succeed
 * @property {number} [closeCode] how the server closed the connection
 * @property {string} [topic]
 * @property {string} [messageId]
 * @property {string} [fileId]
 * @property {string} [fileName]
 */

/**
 * Every error of this package. `code` says what happened and stays the same over versions; `message` is for people. It never
 * holds content or secrets.
 *
 * The server's codes are those of docs/protocol.md, 5 (`unauthorized`, `key_mismatch`, `too_large`, `unavailable`, ...). The client's own:
 *
 * | code | means |
 * |---|---|
 * | `bad_option` | an option or argument is wrong |
 * | `closed` | the client was closed |
 * | `taken_over` | a newer connection uses this clientId; this client has ended |
 * | `disconnected` | the connection was lost; `closeCode` says how the server closed it, where it did |
 * | `lost` | the connection was lost after something that is sent once only had gone out |
 * | `no_answer` | the server did not answer in time |
 * | `queue_full` | as much is published and not acked as may be |
 * | `duplicate` | a message of this topic and id is being published already |
 * | `subscribed` | the topic has a handler already |
 * | `handler_failed` | a handler threw; the message stays unacked and comes again |
 * | `legacy_refused` | suite 1 came, and `allowLegacy` is not set |
 * | `malformed`, `authentication`, `unknown_key`, `replayed` | a message that does not open, and why |
 * | `weak_key` | a key that anyone would guess |
 * | `stalled` | a file made no progress for too long |
 * | `corrupt` | a file is not as it was sent |
 * | `source_changed` | a file changed while it was sent |
 * | `declined` | a file was not wanted here |
 * | `unsupported` | this browser or runtime lacks what is needed |
 */
export class FastPortError extends Error {
  /**
   * @param {string} code
   * @param {string} message
   * @param {ErrorDetails} [details]
   */
  constructor(code, message, details = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.name = 'FastPortError';
    this.code = code;
    this.retryable = details.retryable ?? retryable.has(code);
    /** @type {number | undefined} */
    this.closeCode = details.closeCode;
    /** @type {string | undefined} */
    this.topic = details.topic;
    /** @type {string | undefined} */
    this.messageId = details.messageId;
    /** @type {string | undefined} */
    this.fileId = details.fileId;
    /** @type {string | undefined} */
    this.fileName = details.fileName;
  }
}

const retryable = new Set(['unavailable', 'rate_limited', 'internal', 'quota_exceeded']);

/** How the server ends a connection for good. */
const CloseCodes = { takenOver: 4001, sessionGone: 4003, notAuthenticated: 4004, draining: 1012, rateLimited: 4029, protocolError: 4000 };
export { CloseCodes };

/**
 * Is an error of this code?
 * @param {unknown} err
 * @param {string} code
 */
export function isCode(err, code) {
  return err instanceof FastPortError && err.code === code;
}

/**
 * The error that a frame of the server tells of.
 * @param {import('./frames.js').ServerFrame} f
 * @returns {FastPortError}
 */
export function refusal(f) {
  return new FastPortError(f.code || 'internal', f.error || f.code || 'the server gave no reason', {
    retryable: f.retryable, topic: f.topic, messageId: f.messageId, fileId: f.fileId,
  });
}

/**
 * Can trying again not help? Then the error ends the client.
 * @param {unknown} err
 */
export function isFatal(err) {
  if (!(err instanceof FastPortError)) return false;
  switch (err.code) {
    case 'disconnected':
      return err.closeCode === CloseCodes.takenOver || err.closeCode === CloseCodes.sessionGone || err.closeCode === CloseCodes.notAuthenticated;
    case 'no_answer':
      return false;
  }
  return !err.retryable;
}

/**
 * Any thrown value as an Error.
 * @param {unknown} err
 * @returns {Error}
 */
export function asError(err) {
  return err instanceof Error ? err : new Error(String(err));
}
