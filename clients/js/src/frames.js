import { FastPortError } from './errors.js';
import { text, utf8 } from './crypto/bytes.js';

/** @typedef {import('./crypto/bytes.js').Bytes} Bytes */

/**
 * What a session allows and does, as of the last login.
 * @typedef {object} Limits
 * @property {number} maxPayload bytes in a frame
 * @property {number} maxInFlight unacked messages out to one connection
 * @property {number} chunkSize bytes
 * @property {number} retryInterval ms
 * @property {number} messageExpiryTime ms
 */

/**
 * A frame of the server, of whichever type: see docs/protocol.md, 4.
 * @typedef {object} ServerFrame
 * @property {string} type
 * @property {boolean} [success]
 * @property {string} [code]
 * @property {string} [error]
 * @property {boolean} [retryable]
 * @property {string} [topic]
 * @property {string} [messageId]
 * @property {string} [userId]
 * @property {string} [fileId]
 * @property {string} [data]
 * @property {string} [hash]
 * @property {number} [timestamp]
 * @property {number} [seq]
 * @property {number} [retry]
 * @property {boolean} [replay]
 * @property {number} [qos]
 * @property {number} [protocol]
 * @property {string} [clientId]
 * @property {boolean} [resumed]
 * @property {string[]} [topics]
 * @property {number} [serverTime]
 * @property {string} [keyCheck]
 * @property {Limits} [limits]
 * @property {RegisteredDevice[]} [devices]
 * @property {string} [fileName]
 * @property {number} [fileSize]
 * @property {number} [totalChunks]
 * @property {string} [meta]
 * @property {number} [receivers]
 * @property {number} [acked]
 * @property {boolean} [done]
 * @property {number} [afterMs]
 */

/**
 * A device that is registered for push. Its token never comes back.
 * @typedef {object} RegisteredDevice
 * @property {string} deviceId
 * @property {string} platform
 * @property {number} createdAt ms
 * @property {number} updatedAt ms
 */

/**
 * A frame for the server, `type` first.
 * @typedef {{ type: string, [field: string]: unknown }} ClientFrame
 */

/** The wire's bounds (docs/protocol.md, 10). */
export const MAX_PAYLOAD = 10 << 20;
export const CHUNK_SIZE = 64 << 10;
export const FILE_WINDOW = 64;
export const FILE_ACK_EVERY = 16;
export const MAX_OPEN_FILES = 16;
export const MAX_IN_FLIGHT = 256;
export const SENDER_AWAY = 60_000;
export const RECEIVER_STALL = 30_000;

const CHUNK = 0x02;
const CHUNK_HEADER = 1 + 36 + 4;
const control = /[\u0000-\u001f\u007f-\u009f]/;
const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

/**
 * A binary frame of one chunk, in spare's memory where it has the size.
 * @param {string} fileId
 * @param {number} index
 * @param {Bytes} payload
 * @param {Bytes} [spare]
 * @returns {Bytes}
 */
export function chunkFrame(fileId, index, payload, spare) {
  const size = CHUNK_HEADER + payload.length;
  const frame = spare?.length === size ? spare : new Uint8Array(size);
  frame[0] = CHUNK;
  frame.set(utf8(fileId), 1);
  new DataView(frame.buffer).setUint32(37, index);
  frame.set(payload, CHUNK_HEADER);
  return frame;
}

/**
 * A binary frame's chunk, or null. The payload shares the frame's memory.
 * @param {ArrayBuffer} frame
 */
export function parseChunk(frame) {
  const b = new Uint8Array(frame);
  if (b.length < CHUNK_HEADER || b[0] !== CHUNK) return null;
  return { fileId: text(b.subarray(1, 37)), index: new DataView(frame).getUint32(37), payload: b.subarray(CHUNK_HEADER) };
}

/** @param {string} id */
export const isUUID = (id) => uuid.test(id);

/** A random UUID. */
export function newUUID() {
  if (crypto.randomUUID) return crypto.randomUUID();
  throw new FastPortError('unsupported', 'no crypto.randomUUID: a browser has it on pages from https or localhost only');
}

/**
 * Refuses what the server would refuse, before it takes up room.
 * @param {string} topic
 */
export function checkTopic(topic) {
  checkText('topic', topic, 255);
  if (topic.startsWith('$')) throw new FastPortError('bad_request', 'topic: those with $ first are the server\'s own');
}

/**
 * @param {string} field
 * @param {string} value
 * @param {number} most bytes
 */
export function checkText(field, value, most) {
  const well = typeof value === 'string' && value !== '' && !control.test(value) && text(utf8(value)) === value && utf8(value).length <= most;
  if (!well) throw new FastPortError('bad_request', `${field}: takes 1 to ${most} bytes of text without control characters`);
}
