import { describe, expect, it } from 'vitest';
import { type AbTest, inWords, leading, percent, scaleOf } from './verdict';

const variant = (key: string, mean: number | null, units: number) =>
  ({
    model: { id: key, key },
    mean,
    units,
    interval: null,
  }) as unknown as AbTest['report']['variants'][number];

function test(change: Partial<AbTest>, ...variants: AbTest['report']['variants']): AbTest {
  const report = { p_value: null, variants };
  return { status: 'WARMUP', score_type: 'DIRECT', min_scores: 30, alpha: 0.05, report, ...change } as AbTest;
}

describe('what a test says', () => {
  it('is that it is too early', () => {
    const early = test({}, variant('a', 0.5, 30), variant('b', 0.9, 12));
    expect(inWords(early, false)).toBe(
      'Too early to say: each model needs 30 scored sessions, and b has 12.',
    );
  });

  it('is who leads, and how sure that is', () => {
    const running = test({ status: 'IN_PROGRESS' }, variant('a', 0.5, 40), variant('b', 0.9, 42));
    running.report.p_value = 0.2;
    expect(inWords(running, false)).toBe(
      'Not decided yet. b is ahead with 0.9. The chance that it only looks so is still 20 %; at 5 % or less the test ends.',
    );
    expect(leading(running, true)!.model.key).toBe('a');
  });

  it('is the verdict', () => {
    const verdict = { winner: 'b', text: 'b is better.', p_value: 0.01, arms: [] };
    expect(inWords(test({ status: 'DONE', verdict }), false)).toBe('b is better.');
  });

  it('is that it was ended', () => {
    expect(inWords(test({ status: 'CANCELLED' }), false)).toBe('It was cancelled before it was decided.');
  });
});

it('nobody leads among equals', () => {
  expect(leading(test({}, variant('a', 1, 1), variant('b', 1, 1)), false)).toBeUndefined();
  expect(leading(test({}, variant('a', 1, 1), variant('b', null, 0)), false)).toBeUndefined();
  // More wins are better, whatever is compared.
  const compared = test({ score_type: 'COMPARISON' }, variant('a', 0.2, 1), variant('b', 0.8, 1));
  expect(leading(compared, true)!.model.key).toBe('b');
});

it('small chances are not said to be none', () => {
  expect(percent(0.0001)).toBe('less than 0.1 %');
  expect(percent(0.053)).toBe('5.3 %');
});

it('intervals are drawn on one scale', () => {
  const one = { ...variant('a', 1, 1), interval: { start: 0.2, middle: 0.4, end: 0.6 } };
  const other = { ...variant('b', 1, 1), interval: { start: 0.1, middle: 0.2, end: 0.3 } };
  expect(scaleOf([one, other])).toEqual([0.1, 0.6]);
  expect(scaleOf([variant('a', 1, 1)])).toBeNull();
});
