// A version 1 client as the seed documents describe it: JSON frames, AES-256-CBC, SHA-256, 0x02 chunks; nothing else.
import WebSocket from 'ws';
import crypto from 'node:crypto';

const CHUNK = 64 * 1024;

export class SeedClient {
  constructor({ url, sessionName, password, aesKey, userId, autoAck = true }) {
    Object.assign(this, { url, sessionName, password, userId, autoAck });
    this.key = Buffer.from(aesKey, 'base64');
    this.handlers = new Map(); // topic -> callback
    this.fileHandlers = new Map();
    this.waiting = []; // {match, resolve}
    this.log = []; // every frame received
    this.files = new Map();
  }

  async init() {
    this.ws = new WebSocket(this.url);
    this.ws.on('message', (data, binary) => (binary ? this.chunk(data) : this.frame(JSON.parse(data.toString()))));
    this.closed = new Promise((resolve) => this.ws.on('close', (code) => resolve(code)));
    this.ws.on('error', () => {});
    await new Promise((resolve, reject) => { this.ws.once('open', resolve); this.ws.once('error', reject); });
    const answer = this.next((f) => f.type === 'init_response');
    const init = { type: 'init', sessionName: this.sessionName, password: this.password };
    if (this.userId) init.userId = this.userId;
    this.send(init);
    const f = await answer;
    if (!f.success) throw new Error(f.error);
    return f;
  }

  send(f) { this.ws.send(JSON.stringify(f)); }

  next(match, ms = 5000) {
    return new Promise((resolve, reject) => {
      const w = { match, resolve: (f) => { clearTimeout(t); resolve(f); } };
      const t = setTimeout(() => { this.waiting.splice(this.waiting.indexOf(w), 1); reject(new Error('no answer: ' + match)); }, ms);
      this.waiting.push(w);
    });
  }

  frame(f) {
    this.log.push({ ...f, at: Date.now() });
    if (f.type === 'message') {
      if (sha256(f.data) !== f.hash) throw new Error('hash of a message is wrong');
      if (this.autoAck) this.send({ type: 'ack', messageId: f.messageId });
      this.handlers.get(f.topic)?.(this.decrypt(f.data), f.timestamp, f);
    } else if (f.type === 'init_file') {
      this.files.set(f.fileId, { ...f, parts: [], bytes: 0 });
    } else if (f.type === 'end_file') {
      const file = this.files.get(f.fileId);
      const whole = Buffer.concat(file.parts);
      if (f.hash !== crypto.createHash('sha256').update(whole).digest('hex')) throw new Error('hash of a file is wrong');
      this.fileHandlers.get(f.topic)?.(file.fileName, whole);
    }
    for (const w of [...this.waiting]) {
      if (w.match(f)) { this.waiting.splice(this.waiting.indexOf(w), 1); w.resolve(f); }
    }
  }

  chunk(data) {
    if (data[0] !== 0x02) throw new Error('unknown binary frame');
    const file = this.files.get(data.subarray(1, 37).toString());
    const index = data.readUInt32BE(37);
    if (index !== file.parts.length) throw new Error(`chunk ${index} came where ${file.parts.length} was due`);
    const iv = data.subarray(41, 57);
    const d = crypto.createDecipheriv('aes-256-cbc', this.key, iv);
    file.parts.push(Buffer.concat([d.update(data.subarray(57)), d.final()]));
  }

  async get(topic, callback) {
    this.handlers.set(topic, callback);
    const answer = this.next((f) => f.type === 'subscribe_response' && f.topic === topic);
    this.send({ type: 'subscribe', topic });
    const f = await answer;
    if (!f.success) throw new Error(f.error);
  }

  async onFile(topic, callback) {
    this.fileHandlers.set(topic, callback);
    await this.get(topic, () => {});
  }

  // emit publishes and resolves with all that the server says of it.
  async emit(topic, message, messageId = crypto.randomUUID()) {
    const data = this.encrypt(message);
    const acked = this.next((f) => f.type === 'ack_received' && f.messageId === messageId);
    const told = this.next((f) => f.type === 'publish_response' && f.messageId === messageId);
    this.send({ type: 'publish', topic, data, hash: sha256(data), timestamp: Date.now(), messageId });
    const [ack, response] = await Promise.all([acked, told]);
    return { ack, response, messageId };
  }

  async sendFile(fileName, content, topic) {
    const fileId = crypto.randomUUID();
    const totalChunks = Math.ceil(content.length / CHUNK);
    this.send({ type: 'init_file', fileId, fileName, fileSize: content.length, totalChunks, topic });
    for (let i = 0; i < totalChunks; i++) {
      const iv = crypto.randomBytes(16);
      const c = crypto.createCipheriv('aes-256-cbc', this.key, iv);
      const sealed = Buffer.concat([c.update(content.subarray(i * CHUNK, (i + 1) * CHUNK)), c.final()]);
      const head = Buffer.alloc(41);
      head[0] = 0x02;
      head.write(fileId, 1, 'ascii');
      head.writeUInt32BE(i, 37);
      this.ws.send(Buffer.concat([head, iv, sealed]));
    }
    this.send({ type: 'end_file', fileId, hash: crypto.createHash('sha256').update(content).digest('hex'), topic });
    return fileId;
  }

  encrypt(text) {
    const iv = crypto.randomBytes(16);
    const c = crypto.createCipheriv('aes-256-cbc', this.key, iv);
    return iv.toString('base64') + ':' + Buffer.concat([c.update(text, 'utf8'), c.final()]).toString('base64');
  }

  decrypt(data) {
    const [iv, body] = data.split(':').map((s) => Buffer.from(s, 'base64'));
    const d = crypto.createDecipheriv('aes-256-cbc', this.key, iv);
    return Buffer.concat([d.update(body), d.final()]).toString('utf8');
  }

  close() { this.ws.close(); }
}

export const sha256 = (s) => crypto.createHash('sha256').update(s).digest('hex');
