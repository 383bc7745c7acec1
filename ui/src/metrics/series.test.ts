import { describe, expect, it } from 'vitest';
import type { Schemas } from '../api/client';
import { aligned, buckets, counted, percentile } from './series';

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

  it('count times, and leave out those of another span', () => {
    const hours = buckets('24h', now);
    const times = [now, now - 1000, now - 3_600_000, now - 25 * 3_600_000, now + 3_600_000];
    expect(counted(hours, times).slice(-2)).toEqual([1, 2]);
    expect(counted(hours, times).reduce((sum, one) => sum + one)).toBe(3);
  });
});

it('a percentile is a value that was seen', () => {
  expect(percentile([], 0.5)).toBeNull();
  expect(percentile([7], 0.99)).toBe(7);
  const values = Array.from({ length: 100 }, (_, index) => 100 - index);
  expect(percentile(values, 0.5)).toBe(50);
  expect(percentile(values, 0.95)).toBe(95);
  expect(percentile(values, 0.99)).toBe(99);
});
