import { FastPortError } from './errors.js';
import { RootKey, parseKey } from './crypto/key.js';

/**
 * A Firebase service account's.
 * @typedef {object} FCMConfig
 * @property {string} projectId
 * @property {string} privateKey
 * @property {string} clientEmail
 * @property {boolean} enabled
 */

/**
 * A session to be created. What is left out has the server's default.
 * @typedef {object} SessionSpec
 * @property {string} sessionName
 * @property {string} password
 * @property {string} aesKey the root key in base64. It stays here: the server gets two keys that follow from it, and from which it does not follow
 * @property {0 | 2} [suite] 2: the server refuses data of another form; 0: it takes any
 * @property {number} [retryInterval] ms
 * @property {number} [maxRetryLimit]
 * @property {number | null} [messageExpiryTime] ms; null: the server's cap
 * @property {number} [sessionExpiry] ms from now
 * @property {number} [subscriptionExpiry] ms
 * @property {FCMConfig} [fcmConfig]
 * @property {string} [adminToken] where the server lets only admins create sessions
 */

/**
 * Which session, and by what right: its password and secret key, or an admin's token.
 * @typedef {object} SessionAdmin
 * @property {string} sessionName
 * @property {string} [password]
 * @property {string} [secretKey]
 * @property {string} [adminToken]
 */

/**
 * Creates a session. Its secretKey is shown this once, and needed to drop or suspend it. An existing name is code `conflict`.
 * @param {string} serverUrl http://, https://, ws:// or wss://
 * @param {SessionSpec} spec
 * @returns {Promise<{ sessionName: string, secretKey: string }>}
 */
export async function createSession(serverUrl, { aesKey, adminToken, ...spec }) {
  const key = await RootKey.import(parseKey(aesKey), spec.sessionName);
  const body = { ...spec, fcmKey: await key.fcmKey(spec.sessionName), keyCheck: await key.keyCheck(spec.sessionName) };
  const { sessionName, secretKey } = await call(serverUrl, 'createSession', body, adminToken);
  return { sessionName, secretKey };
}

/**
 * Deletes a session with all that it holds and closes its connections.
 * @param {string} serverUrl
 * @param {SessionAdmin} admin
 */
export async function dropSession(serverUrl, { adminToken, ...body }) {
  await call(serverUrl, 'dropSession', body, adminToken);
}

/**
 * Closes a session's connections and refuses new ones, or (false) lets them in again.
 * @param {string} serverUrl
 * @param {SessionAdmin} admin
 * @param {boolean} suspend
 */
export async function suspendSession(serverUrl, { adminToken, ...body }, suspend) {
  await call(serverUrl, 'suspendSession', { ...body, suspend }, adminToken);
}

/**
 * @param {string} serverUrl
 * @param {string} name
 * @param {object} body
 * @param {string} [token]
 * @returns {Promise<any>}
 */
async function call(serverUrl, name, body, token) {
  const at = new URL('/api/' + name, serverUrl.replace(/^ws/, 'http'));
  let response, answer;
  try {
    response = await fetch(at, {
      method: 'POST', body: JSON.stringify(body), credentials: 'omit',
      redirect: 'error', // what is sent are secrets, meant for one host
      headers: { 'Content-Type': 'application/json', ...(token && { Authorization: 'Bearer ' + token }) },
    });
  } catch (cause) {
    throw new FastPortError('disconnected', `${name}: no answer from ${at.host}`, { cause });
  }
  try {
    answer = await response.json();
  } catch (cause) {
    throw new FastPortError('internal', `${name}: the server answered ${response.status}, and no JSON`, { cause });
  }
  if (!answer?.success) throw new FastPortError(answer?.code ?? 'internal', answer?.error ?? `${name}: the server answered ${response.status}`);
  return answer;
}
