import { writeFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';
import type { Flow, Seen } from './bench.js';

interface RecordedSet {
  readonly name: string;
  readonly files: Readonly<Record<string, number>>;
  readonly flows: readonly Flow[];
  readonly seen: readonly Seen[];
  readonly open: readonly number[];
}

/** Keeps what the kernel did, for runs without root (test/netns/kernel-random.test.ts): MESHPATH_RECORD names the file. */
export class Recorder {
  private readonly texts = new Map<string, number>();
  private readonly sets: RecordedSet[] = [];

  add(
    name: string,
    files: Readonly<Record<string, string>>,
    flows: readonly Flow[],
    seen: readonly Seen[],
    open: readonly number[],
  ): void {
    const places = Object.entries(files).map(([file, text]) => [file, this.place(text)] as const);
    this.sets.push({ name, files: Object.fromEntries(places), flows, seen, open });
  }

  private place(text: string): number {
    const known = this.texts.get(text) ?? this.texts.size;
    this.texts.set(text, known);
    return known;
  }

  write(): void {
    const file = process.env['MESHPATH_RECORD'];
    if (file === undefined) return;
    writeFileSync(file, gzipSync(JSON.stringify({ texts: [...this.texts.keys()], sets: this.sets }), { level: 9 }));
  }
}
