/** From what the server counted to what a chart shows. */

import type { Schemas } from '../api/client';

export const SPANS = {
  '24h': { label: '24 hours', width: 'hour', count: 24 },
  '7d': { label: '7 days', width: 'hour', count: 7 * 24 },
  '30d': { label: '30 days', width: 'day', count: 30 },
  '90d': { label: '90 days', width: 'day', count: 90 },
} as const;

export type Span = keyof typeof SPANS;
export type Width = (typeof SPANS)[Span]['width'];

const LENGTHS = { hour: 3_600_000, day: 86_400_000 } as const;

/** When the hours or days of a span begin, the current one included: epoch ms, in UTC as the server has them. */
export function buckets(span: Span, now: number): number[] {
  const { width, count } = SPANS[span];
  const length = LENGTHS[width];
  const last = Math.floor(now / length) * length;
  return Array.from({ length: count }, (_, index) => last - (count - 1 - index) * length);
}

/** The group of each bucket; undefined where nothing was counted. */
export function aligned<Group extends { group: string | null }>(
  starts: number[],
  groups: Group[],
): (Group | undefined)[] {
  const found = new Map(groups.map((group) => [Date.parse(group.group ?? ''), group]));
  return starts.map((start) => found.get(start));
}

/** More lines than this cannot be told from each other. */
const MOST_LINES = 6;

export interface Trend {
  name: string;
  values: (number | null)[];
}

/** The mean in each bucket: of all models together, and of those with most values where there are several. */
export function trends(starts: number[], groups: Schemas['MetricGroup'][]): Trend[] {
  const counts = new Map<string, number>();
  for (const { model, count } of groups) {
    const name = model ?? NO_MODEL;
    counts.set(name, (counts.get(name) ?? 0) + count);
  }
  const models = [...counts].sort(([, one], [, other]) => other - one).map(([name]) => name);
  const all = { name: 'All models', values: means(starts, groups) };
  if (models.length < 2) return [{ ...all, name: models[0] ?? all.name }];
  const lines = models.slice(0, MOST_LINES).map((name) => ({
    name,
    values: means(
      starts,
      groups.filter(({ model }) => (model ?? NO_MODEL) === name),
    ),
  }));
  return [all, ...lines];
}

/** What is shown where an interaction has no model. */
export const NO_MODEL = '(none)';

function means(starts: number[], groups: Schemas['MetricGroup'][]): (number | null)[] {
  const sums = new Map<number, { sum: number; count: number }>();
  for (const { group, sum, count } of groups) {
    const start = Date.parse(group ?? '');
    const before = sums.get(start) ?? { sum: 0, count: 0 };
    sums.set(start, { sum: before.sum + sum, count: before.count + count });
  }
  return starts.map((start) => {
    const found = sums.get(start);
    return found ? found.sum / found.count : null;
  });
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
