// What an agent of the JavaScript SDK does, on Node and in a page alike: each request in, its answer and what happens out. ../README.md has the
// lines that they are.

export class Agent {
  #sdk;
  #say;
  #clients = new Map();

  /**
   * @param sdk the SDK's module
   * @param say takes a report
   */
  constructor(sdk, say) {
    this.#sdk = sdk;
    this.#say = say;
  }

  /** Takes a request. What must be done in the order of the requests is done when it returns. */
  take(r) {
    const done = r.do === 'connect' ? this.#connect(r) : this.#do(this.#clients.get(r.client), r);
    done.then(
      (answer) => this.#say({ id: r.id, ...answer }),
      (err) => this.#say({ id: r.id, code: err?.code ?? 'internal', error: String(err?.stack ?? err) }),
    );
  }

  async #connect({ client, options: o }) {
    const event = (e) => this.#say({ client, ...e });
    const c = new this.#sdk.FastPort({
      serverUrl: o.url, sessionName: o.sessionName, password: o.password, aesKey: o.aesKey, clientId: o.clientId, userId: o.userId, suite: o.suite,
      allowLegacy: o.allowLegacy, wait: o.wait, retryInterval: o.ackTimeout, connectTimeout: o.connectTimeout, dedupeSize: o.dedupeSize,
      backoffMin: 20, backoffMax: 300,
      onError: (err) => event({ event: 'error', code: err.code, error: err.message }),
      onState: (state) => event({ event: 'state', state, ...(state === 'closed' && { code: c.error.code }) }),
    });
    await c.init();
    this.#clients.set(client, c);
  }

  async #do(c, r) {
    if (!c) {
      if (r.do === 'abort') return {};
      throw new Error(`${r.client} has not connected`);
    }
    const device = { userId: r.userId, deviceId: r.deviceId, fcmToken: r.token, platform: 'android' };
    switch (r.do) {
      case 'close':
        await c.close();
        break;
      case 'abort':
        await c.close({ timeout: 100 });
        break;
      case 'subscribe':
        await c.get(r.topic, this.#handler(r));
        break;
      case 'unsubscribe':
        await c.unsubscribe(r.topic);
        break;
      case 'emit':
        await c.emit(r.topic, r.text ?? '', { messageId: r.messageId });
        break;
      case 'receive':
        await c.onFile(r.topic, async (name, data, { topic }) => {
          this.#say({ client: r.client, event: 'file', topic, name, size: data.length, sha256: hex(await crypto.subtle.digest('SHA-256', data)) });
        });
        break;
      case 'send':
        await c.sendFile(new Blob([content(r.size ?? 0)]), r.topic, { name: r.name });
        break;
      case 'register':
        await c.registerFCMToken(device);
        break;
      case 'unregister':
        await c.unregisterFCMToken(device);
        break;
      case 'devices':
        return { devices: (await c.getRegisteredDevices(r.userId)).map((d) => d.deviceId) };
      default:
        throw new Error(`there is no ${r.do}`);
    }
    return {};
  }

  #handler({ client, failing = 0 }) {
    return (text, _timestamp, m) => {
      if (failing-- > 0) throw new Error('as the scenario wants');
      this.#say({ client, event: 'message', topic: m.topic, text, retry: m.retry, replay: m.replay });
    };
  }
}

/** Each file of a size has the same content: the upper bytes of a linear congruential generator. */
export function content(size) {
  const b = new Uint8Array(size);
  for (let i = 0, x = size; i < size; i++) {
    x = (Math.imul(x, 1664525) + 1013904223) >>> 0;
    b[i] = x >>> 24;
  }
  return b;
}

export const hex = (b) => [...new Uint8Array(b)].map((v) => v.toString(16).padStart(2, '0')).join('');
