import { writeFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';
import type { Packet } from '../../src/netns/face.js';
import type { Files } from '../netns/netns-files.js';
import type { Flow, Seen } from './bench.js';
import type { Sighting } from './sightings.js';

/** What the kernel did with the packets of rule sets; `Content`: what is kept of each set beside its files. */
export interface Recorded<Content> {
  /** Each text once; a set names its files by their place. */
  readonly texts: readonly string[];
  readonly sets: readonly ({ readonly name: string; readonly files: Readonly<Record<string, number>> } & Content)[];
}

/** First packets of connections, and what became of each. */
export interface RecordedFlows {
  readonly flows: readonly Flow[];
  readonly seen: readonly Seen[];
  /** Places of the flows that the files leave open: the kernel did one of several things. */
  readonly open?: readonly number[];
}

/** Packets of conversations, and what the kernel did with each. */
export interface RecordedTalks {
  readonly said: readonly { readonly packet: Packet; readonly seen: Sighting; readonly open: boolean }[];
}

/** Keeps what the kernel did, for runs without root (test/netns/kernel-*.test.ts): MESHPATH_RECORD names the file. */
export class Recorder<Content extends object> {
  private readonly texts = new Map<string, number>();
  private readonly sets: Recorded<Content>['sets'][number][] = [];

  add(name: string, files: Files, content: Content): void {
    const places = Object.entries(files).map(([file, text]) => [file, this.place(text)] as const);
    this.sets.push({ name, files: Object.fromEntries(places), ...content });
  }

  private place(text: string): number {
    const known = this.texts.get(text) ?? this.texts.size;
    this.texts.set(text, known);
    return known;
  }

  write(): void {
    const file = process.env['MESHPATH_RECORD'];
    if (file === undefined) return;
    const recorded: Recorded<Content> = { texts: [...this.texts.keys()], sets: this.sets };
    writeFileSync(file, gzipSync(JSON.stringify(recorded), { level: 9 }));
  }
}
