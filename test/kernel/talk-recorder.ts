import { writeFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';
import type { Packet } from '../../src/netns/face.js';
import type { Sighting } from './sightings.js';

/** Packets of conversations through one rule set, and what the kernel did with each. */
export interface RecordedTalks {
  /** Each text once; a set names its files by their place. */
  readonly texts: readonly string[];
  readonly sets: readonly {
    readonly name: string;
    readonly files: Readonly<Record<string, number>>;
    readonly said: readonly { readonly packet: Packet; readonly seen: Sighting; readonly open: boolean }[];
  }[];
}

type Recorded = RecordedTalks['sets'][number];

/** Keeps what the kernel did, for runs without root (test/netns/kernel-talks.test.ts): MESHPATH_RECORD names the file. */
export class TalkRecorder {
  private readonly texts = new Map<string, number>();
  private readonly sets: Recorded[] = [];

  add(name: string, files: Readonly<Record<string, string>>, said: Recorded['said']): void {
    const places = Object.entries(files).map(([file, text]) => {
      const place = this.texts.get(text) ?? this.texts.size;
      this.texts.set(text, place);
      return [file, place] as const;
    });
    this.sets.push({ name, files: Object.fromEntries(places), said });
  }

  write(): void {
    const file = process.env['MESHPATH_RECORD'];
    if (file === undefined) return;
    const recorded: RecordedTalks = { texts: [...this.texts.keys()], sets: this.sets };
    writeFileSync(file, gzipSync(JSON.stringify(recorded), { level: 9 }));
  }
}
