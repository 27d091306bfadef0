// The agent of the JavaScript SDK on Node.
import * as sdk from '../../js/fastport.js';
import { Agent } from './agent.js';
import { requests, say } from './lines.js';

const agent = new Agent(sdk, say);
for await (const r of requests()) agent.take(r);
process.exit(0);
