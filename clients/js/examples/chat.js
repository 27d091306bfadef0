// A complete chat: two clients in one program, messages and a file. Run a broker (fastport serve), put a document.pdf beside this
// file, and then: node chat.js
import { writeFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { FastPort, generateKey } from 'fastport-client';

const server = process.env.FASTPORT_URL ?? 'http://localhost:3000';

// 1. Generate encryption key (do this ONCE, store securely!)
const aesKey = generateKey();

// 2. Create session (run once)
await createSession('my_chat', 'password123', aesKey);

// 3. Connect clients
const alice = new FastPort({
  serverUrl: server,
  sessionName: 'my_chat',
  password: 'password123',
  aesKey,
});

const bob = new FastPort({
  serverUrl: server,
  sessionName: 'my_chat',
  password: 'password123',
  aesKey,
});

await alice.init();
await bob.init();

// 4. Bob subscribes
bob.get('chat/room1', (message, timestamp) => {
  console.log(`[Bob received]: ${message}`);
});

// 5. Alice sends
await delay(1000); // Wait for subscription
await alice.emit('chat/room1', 'Hello Bob!');

// 6. Send a file
await bob.onFile('files/shared', (fileName, fileData) => {
  console.log(`[Bob received file]: ${fileName} (${fileData.length} bytes)`);
  writeFileSync(`received_${fileName}`, fileData);
});

await alice.sendFile('document.pdf', 'files/shared');

// Keep alive
await delay(1000);
await alice.close();
await bob.close();

async function createSession(name, pass, key) {
  await fetch(`${server}/api/createSession`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({
      sessionName: name,
      password: pass,
      retryInterval: 5000,
      maxRetryLimit: 100,
      encryptionKey: key,
      messageExpiryTime: 3600000,
    }),
  });
}
