import type { Flow } from './bench.js';
import { Conversation, type Said } from './conversation.js';
import type { Random } from './random.js';
import { ACK, FIN, PSH, RST, SYN } from './sightings.js';
import type { TalkBench } from './talk.js';

const SIDES = ['client', 'server'] as const;

/** Leads one conversation from a first packet on; the way that it goes is drawn. */
export async function converse(bench: TalkBench, flow: Flow, random: Random, slow: boolean): Promise<readonly Said[]> {
  const talk = new Conversation(bench, flow, random, slow);
  const { verdict } = await talk.open();
  const stopped = verdict === 'dropped' || verdict === 'rejected';
  if (stopped && !random.chance(0.3)) return talk.said;
  if (flow.protocol !== 'tcp') {
    if (random.chance(0.9)) await talk.from('server', 0, true);
    await talk.from('client', 0, true);
    if (random.chance(0.5)) await talk.error('server');
    if (random.chance(0.5)) await talk.error('client');
    await talk.from('server', 0, true);
    return talk.said;
  }
  if (random.chance(0.08)) await talk.from('client', random.pick([ACK, RST, FIN | ACK]), false);
  if (random.chance(0.05)) await talk.from('server', random.pick([ACK, RST | ACK, FIN | ACK]), false);
  // it would end the connection of a local client
  if (random.chance(0.25) && !talk.isLocal('client')) await talk.error('server');
  await talk.from('server', SYN | ACK, false);
  if (random.chance(0.1)) await talk.error('client');
  await talk.from('client', ACK, false);
  await talk.from('client', PSH | ACK, true);
  await talk.from('server', ACK, false);
  await talk.from('server', PSH | ACK, true);
  await talk.from('client', ACK, false);
  if (random.chance(0.3)) await talk.error(random.pick(SIDES));
  await talk.from(random.pick(SIDES), random.pick([RST | ACK, FIN | ACK]), false);
  await talk.from(random.pick(SIDES), ACK, false);
  return talk.said;
}

/** All that can be said after a first packet, in a fixed order. */
export async function talkThrough(bench: TalkBench, flow: Flow, slow: boolean): Promise<readonly Said[]> {
  const talk = new Conversation(bench, flow, null, slow);
  await talk.open();
  if (flow.protocol !== 'tcp') {
    await talk.from('client', 0, true);
    await talk.error('server');
    await talk.from('server', 0, true);
    await talk.error('client');
    await talk.from('client', 0, true);
    return talk.said;
  }
  // it would end the connection of a local client
  if (!talk.isLocal('client')) await talk.error('server');
  await talk.from('server', SYN | ACK, false);
  await talk.from('client', ACK, false);
  await talk.from('client', PSH | ACK, true);
  await talk.from('server', ACK, false);
  await talk.from('server', PSH | ACK, true);
  await talk.error('client');
  await talk.from('client', ACK, false);
  await talk.from('server', FIN | ACK, false);
  await talk.from('client', RST | ACK, false);
  return talk.said;
}
