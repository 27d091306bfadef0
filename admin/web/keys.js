// Keys are drawn here, in the browser, and the root key never leaves it: the broker gets what is derived from it, which
// opens no message (docs/e2ee.md).

const bytesOf = (text) => new TextEncoder().encode(text);

export function base64(bytes) {
  return btoa(String.fromCharCode(...bytes));
}

function hex(bytes) {
  return [...bytes].map((b) => b.toString(16).padStart(2, '0')).join('');
}

// canDerive: browsers derive keys on pages that came over TLS, or from this machine, alone.
export const canDerive = () => Boolean(globalThis.crypto?.subtle);

export function newPassword() {
  return base64(crypto.getRandomValues(new Uint8Array(18))).replaceAll('+', '-').replaceAll('/', '_');
}

// newKey is a root key: 32 random bytes.
export function newKey() {
  return crypto.getRandomValues(new Uint8Array(32));
}

// derived is what createSession sends of a root key: the key of push envelopes, and the key check.
export async function derived(key, sessionName) {
  const root = await crypto.subtle.importKey('raw', key, 'HKDF', false, ['deriveBits']);
  const derive = async (info, size) => new Uint8Array(await crypto.subtle.deriveBits(
    {name: 'HKDF', hash: 'SHA-256', salt: bytesOf(sessionName), info: bytesOf(info)}, root, size * 8));
  return {fcmKey: base64(await derive('fastport/2/fcm', 32)), keyCheck: hex(await derive('fastport/2/keycheck', 16))};
}
