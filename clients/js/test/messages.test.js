// Messages through a real server.
import test from 'node:test';
import assert from 'node:assert/strict';
import { connect } from './connect.js';
import { Server, until } from './server.js';


for (const suite of [1, 2]) {
  test(`suite ${suite}: what one emits the other gets, once and in order`, async (t) => {
    const s = await Server.start(t);
    const o = { ...await s.session(), suite, allowLegacy: suite === 1 };
    const [alice, bob] = [await connect(t, o), await connect(t, o)];
    const got = [];
    await bob.get('chat/room1', (message, timestamp, info) => { got.push([message, timestamp, info]); });
    const receipts = await Promise.all(Array.from({ length: 300 }, (_, i) => alice.emit('chat/room1', `${i} äöü 👋`)));
    await until('all has come', () => got.length === 300);
    assert.deepEqual(got.map(([m]) => m), Array.from({ length: 300 }, (_, i) => `${i} äöü 👋`));
    assert.ok(Math.abs(got[0][1] - Date.now()) < 60_000);
    assert.equal(got[7][2].id, receipts[7].messageId);
    assert.equal(got[0][2].legacy, suite === 1);
  });
}
