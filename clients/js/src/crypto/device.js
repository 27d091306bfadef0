import { base64, concat, randomBytes, utf8 } from './bytes.js';
import { subtle } from './key.js';

/** @typedef {import('./bytes.js').Bytes} Bytes */

/**
 * A push token and the device that it wakes.
 * @typedef {object} Device
 * @property {string} fcmToken
 * @property {string} deviceId
 * @property {string} platform
 */

/**
 * A device as the `encryptedData` of register_fcm_token, bound to its user. It needs its hash beside it.
 * @param {import('./keyring.js').KeyRing} ring
 * @param {string} userId
 * @param {Device} device
 * @param {Bytes} [iv] for tests
 * @returns {Promise<string>}
 */
export async function sealDevice(ring, userId, { fcmToken, deviceId, platform }, iv = randomBytes(12)) {
  const key = await ring.newest.gcm(utf8(ring.session), 'fastport/2/fcm');
  const plaintext = utf8(JSON.stringify({ fcmToken, deviceId, platform }));
  const sealed = await subtle().encrypt({ name: 'AES-GCM', iv, additionalData: utf8(userId) }, key, plaintext);
  return base64.encode(concat(iv, new Uint8Array(sealed)));
}
