// The agent of protocol version 1: a client written from the first documents alone, with nothing but ws and Node's crypto.
import { SeedClient } from '../../../testdata/seedclient/client.mjs';
import { createHash } from 'node:crypto';
import { content } from './agent.js';
import { requests, say } from './lines.js';

const clients = new Map();

async function act(r) {
  let c = clients.get(r.client);
  switch (r.do) {
    case 'connect': {
      const { url, sessionName, password, aesKey } = r.options;
      c = new SeedClient({ url, sessionName, password, aesKey });
      await c.init();
      clients.set(r.client, c);
      say({ client: r.client, event: 'state', state: 'connected' });
      break;
    }
    case 'abort':
      c?.close();
      break;
    case 'subscribe':
      await c.get(r.topic, (text) => say({ client: r.client, event: 'message', topic: r.topic, text }));
      break;
    case 'emit':
      await c.emit(r.topic, r.text ?? '', r.messageId);
      break;
    case 'receive':
      await c.onFile(r.topic, (name, data) => {
        const sha256 = createHash('sha256').update(data).digest('hex');
        say({ client: r.client, event: 'file', topic: r.topic, name, size: data.length, sha256 });
      });
      break;
    case 'send':
      await c.sendFile(r.name, Buffer.from(content(r.size ?? 0)), r.topic);
      break;
    default:
      throw new Error(`there is no ${r.do}`);
  }
}

for await (const r of requests()) {
  act(r).then(() => say({ id: r.id }), (err) => say({ id: r.id, code: 'internal', error: String(err.stack) }));
}
process.exit(0);
