import type { Schemas } from '../api/client';

/** A filter has at most 64 parts. */
export const BATCH = 60;

interface Chosen {
  project: string;
  filter: Schemas['FilterExpression'];
}

/** Selections that together are these completions, oldest first: their ids begin with the time. */
export function ofCompletions(project: string, ids: ReadonlySet<string>): Chosen[] {
  const sorted = [...ids].sort();
  const batches = Array.from({ length: Math.ceil(sorted.length / BATCH) }, (_, index) =>
    sorted.slice(index * BATCH, (index + 1) * BATCH),
  );
  return batches.map((batch) => ({
    project,
    filter: { or: batch.map((completion_id) => ({ completion_id })) },
  }));
}

/** Files of several selections as one. CSV has its head once. Parquet cannot be put together. */
export function joined(format: 'jsonl' | 'csv', files: string[]): string {
  if (format === 'jsonl') return files.join('');
  return files.map((file, index) => (index ? file.slice(file.indexOf('\n') + 1) : file)).join('');
}
