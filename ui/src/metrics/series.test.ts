import { describe, expect, it } from 'vitest';
import type { Schemas } from '../api/client';
import { aligned, buckets, trends } from './series';

const now = Date.parse('2026-11-22T12:34:56Z');
const group = (at: string, count: number) => ({ group: at, count }) as Schemas['MetricGroup'];

describe('buckets', () => {
  it('are whole hours or days, the current one last', () => {
    const hours = buckets('24h', now);
    expect(hours).toHaveLength(24);
    expect(new Date(hours.at(-1)!).toISOString()).toBe('2026-11-22T12:00:00.000Z');
    const days = buckets('30d', now);
    expect(days).toHaveLength(30);
    expect(new Date(days.at(-1)!).toISOString()).toBe('2026-11-22T00:00:00.000Z');
    expect(days[1]! - days[0]!).toBe(86_400_000);
  });

  it('get what was counted in them', () => {
    const hours = buckets('24h', now);
    const found = aligned(hours, [group('2026-11-22T12:00:00Z', 3), group('2026-11-22T10:00:00Z', 5)]);
    expect(found.slice(-3).map((one) => one?.count)).toEqual([5, undefined, 3]);
  });
});

describe('trends', () => {
  const starts = buckets('24h', now).slice(-2);
  const groups = (...rows: [number, string | null, number, number][]) =>
    rows.map(
      ([at, model, sum, count]) =>
        ({ group: new Date(starts[at]!).toISOString(), model, sum, count }) as Schemas['MetricGroup'],
    );

  it('have a line for each model, and one that weighs them by their values', () => {
    const found = trends(starts, groups([0, 'a', 10, 1], [0, 'b', 2, 2], [1, 'b', 6, 2]));
    expect(found).toEqual([
      { name: 'All models', values: [4, 3] },
      { name: 'b', values: [1, 3] },
      { name: 'a', values: [10, null] },
    ]);
  });

  it('are one line of one model, or of none', () => {
    expect(trends(starts, groups([1, 'a', 10, 2]))).toEqual([{ name: 'a', values: [null, 5] }]);
    expect(trends(starts, groups([1, null, 10, 2]))[0]!.name).toBe('(none)');
    expect(trends(starts, [])).toEqual([{ name: 'All models', values: [null, null] }]);
  });
});
