/** What an A/B test says so far, in words. */

import type { Schemas } from '../api/client';
import { count, figure } from '../components/format';

export type AbTest = Schemas['AbTest'];

export const isActive = (test: AbTest) => test.status === 'WARMUP' || test.status === 'IN_PROGRESS';

export const STATUS: Record<AbTest['status'], { label: string; color: string }> = {
  WARMUP: { label: 'Warming up', color: 'blue' },
  IN_PROGRESS: { label: 'In progress', color: 'indigo' },
  DONE: { label: 'Decided', color: 'teal' },
  CANCELLED: { label: 'Cancelled', color: 'gray.6' },
};

/** One or two sentences. Of a metric of which less is better, the least mean leads. */
export function inWords(test: AbTest, lowerIsBetter: boolean): string {
  if (test.verdict) return test.verdict.text;
  const { variants, p_value } = test.report;
  const leader = leading(test, lowerIsBetter);
  const soFar = leader ? ` ${leader.model.key} is ahead with ${figure(leader.mean)}.` : '';
  if (test.status === 'CANCELLED')
    return `It was cancelled before it was decided.${soFar.replace(' is ', ' was ')}`;
  const what = test.score_type === 'COMPARISON' ? 'comparisons' : 'scored sessions';
  const short = variants.filter((variant) => variant.units < test.min_scores);
  if (test.status === 'WARMUP' && short.length) {
    const missing = short.map(({ model, units }) => `${model.key} has ${count(units)}`).join(', ');
    return `Too early to say: each model needs ${count(test.min_scores)} ${what}, and ${missing}.`;
  }
  if (p_value === null) return `Nothing can be said yet.${soFar}`;
  return `Not decided yet.${soFar} The chance that it only looks so is still ${percent(p_value)}; at ${percent(test.alpha)} or less the test ends.`;
}

/** The variant with the best mean, if one is better than all others. */
export function leading(test: AbTest, lowerIsBetter: boolean): Schemas['AbTestVariant'] | undefined {
  const known = test.report.variants.filter(({ mean }) => mean !== null);
  if (known.length < 2) return undefined;
  const sign = lowerIsBetter && test.score_type === 'DIRECT' ? 1 : -1;
  const sorted = known.toSorted((one, other) => sign * (one.mean! - other.mean!));
  return sorted[0]!.mean === sorted[1]!.mean ? undefined : sorted[0];
}

export function percent(share: number): string {
  const hundredth = 100 * share;
  return `${hundredth < 0.1 && hundredth > 0 ? 'less than 0.1' : figure(Math.round(hundredth * 10) / 10)} %`;
}

/** The least and the greatest end of all intervals, to draw them on one scale; null when there are none. */
export function scaleOf(variants: Schemas['AbTestVariant'][]): [number, number] | null {
  const ends = variants.flatMap(({ interval }) => (interval ? [interval.start, interval.end] : []));
  const finite = ends.filter(Number.isFinite);
  if (finite.length === 0) return null;
  const [least, greatest] = [Math.min(...finite), Math.max(...finite)];
  return greatest > least ? [least, greatest] : [least - 0.5, greatest + 0.5];
}
