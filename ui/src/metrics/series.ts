/** From what the server counted to what a chart shows. */

import type { Schemas } from '../api/client';

export const SPANS = {
  '24h': { label: '24 hours', width: 'hour', count: 24 },
  '7d': { label: '7 days', width: 'hour', count: 7 * 24 },
  '30d': { label: '30 days', width: 'day', count: 30 },
  '90d': { label: '90 days', width: 'day', count: 90 },
} as const;

export type Span = keyof typeof SPANS;

const LENGTHS = { hour: 3_600_000, day: 86_400_000 } as const;

/** When the hours or days of a span begin, the current one included: epoch ms, in UTC as the server has them. */
export function buckets(span: Span, now: number): number[] {
  const { width, count } = SPANS[span];
  const length = LENGTHS[width];
  const last = Math.floor(now / length) * length;
  return Array.from({ length: count }, (_, index) => last - (count - 1 - index) * length);
}

/** The group of each bucket; undefined where nothing was counted. */
export function aligned(
  starts: number[],
  groups: Schemas['MetricGroup'][],
): (Schemas['MetricGroup'] | undefined)[] {
  const found = new Map(groups.map((group) => [Date.parse(group.group ?? ''), group]));
  return starts.map((start) => found.get(start));
}

/** How many of these times fall into each bucket. */
export function counted(starts: number[], times: number[]): number[] {
  const counts = starts.map(() => 0);
  const length = (starts[1] ?? 0) - (starts[0] ?? 0);
  for (const time of times) {
    const at = Math.floor((time - starts[0]!) / length);
    if (at >= 0 && at < counts.length) counts[at]! += 1;
  }
  return counts;
}

/** The value that so large a share of the values does not exceed; null of none. */
export function percentile(values: number[], share: number): number | null {
  if (values.length === 0) return null;
  const sorted = [...values].sort((one, other) => one - other);
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)]!;
}

// Made once: a formatter takes longer to make than a hundred labels take to write.
const ofDay = new Intl.DateTimeFormat(undefined, { month: 'short', day: 'numeric', timeZone: 'UTC' });
const ofHour = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit' });
const ofDayAndHour = new Intl.DateTimeFormat(undefined, {
  month: 'short',
  day: 'numeric',
  hour: '2-digit',
  minute: '2-digit',
});

/** How a bucket is called on an axis. Days are those of UTC; in a western zone their beginning is still the day before. */
export function bucketLabel(start: number, span: Span): string {
  const format = SPANS[span].width === 'day' ? ofDay : span === '24h' ? ofHour : ofDayAndHour;
  return format.format(start);
}
