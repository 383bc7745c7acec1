import { describe, expect, it } from 'vitest';
import { filterOf, isEmpty, parseSearch, scoreCondition, selection, sortOrder } from './filter';

describe('an address', () => {
  it('keeps what it can mean', () => {
    const search = {
      model: ['smollm2'],
      label: ['env=test', 'reviewed'],
      score: ['helpful>=0.5'],
      state: ['error'] as const,
      source: ['LIVE'] as const,
      completion: 'sorry',
      warnings: true,
      since: '7d' as const,
      order: 'oldest' as const,
      group: 'model' as const,
      size: 500,
      after: 'abc',
      open: '01a2034c-7d1b-7e30-8000-3a3211272d00',
    };
    expect(parseSearch(search)).toEqual(search);
  });

  it('loses what is unknown, malformed or empty', () => {
    const hostile = {
      model: [{}, ''],
      state: 'gone',
      since: 'constructor',
      size: 7,
      from: 'soon',
      user: {},
      x: 1,
    };
    expect(parseSearch(hostile)).toEqual({});
    expect(parseSearch({ since: 'toString', order: '__proto__' })).toEqual({});
  });

  it('takes one value for a list, and numbers as text', () => {
    expect(parseSearch({ model: 'a', user: 42, state: 'error' })).toEqual({
      model: ['a'],
      user: '42',
      state: ['error'],
    });
  });

  it('is a filter without where one is in the list', () => {
    expect(filterOf({ model: ['a'], after: 'x', open: 'y', order: 'oldest', size: 500 })).toEqual({
      model: ['a'],
    });
    expect(isEmpty(filterOf({ after: 'x' }))).toBe(true);
  });
});

describe('a selection', () => {
  it('has every condition', () => {
    const filter = {
      model: ['a'],
      label: ['env=a=b', 'reviewed', 'empty='],
      session: 's',
      user: 'u',
      createdBy: 'ada@example.com',
      state: ['error' as const],
      source: ['LIVE' as const],
      abTest: 'which',
      promptHash: 'h',
      finishReason: 'stop',
      compared: 'better',
      prompt: 'p',
      completion: 'c',
      warnings: false,
      score: ['helpful'],
      from: '2026-11-01T00:00:00Z',
      to: '2026-11-02T00:00:00Z',
    };
    expect(selection('shop', filter)).toEqual({
      project: 'shop',
      models: ['a'],
      labels: [{ key: 'env', value: ['a=b'] }, { key: 'reviewed' }, { key: 'empty', value: [''] }],
      session_id: 's',
      user: 'u',
      created_by: 'ada@example.com',
      state: ['error'],
      source: ['LIVE'],
      prompt_hash: 'h',
      timerange: { from: '2026-11-01T00:00:00Z', to: '2026-11-02T00:00:00Z' },
      filter: {
        and: [
          { ab_test: { eq: 'which' } },
          { finish_reason: { eq: 'stop' } },
          { comparisons: { metric: 'better' } },
          { prompt: { contains: 'p' } },
          { completion: { contains: 'c' } },
          { has_warnings: false },
          { scores: { metric: 'helpful' } },
        ],
      },
    });
  });

  it('begins so long before now, unless there are times', () => {
    const now = Date.parse('2026-11-22T12:00:00Z');
    expect(selection('p', { since: '1h' }, now).timerange).toEqual({ from: '2026-11-22T11:00:00.000Z' });
    expect(selection('p', { since: '1h', to: '2026-01-01T00:00:00Z' }, now).timerange).toEqual({
      to: '2026-01-01T00:00:00Z',
    });
  });

  it('of everything is the project', () => {
    expect(selection('p', {})).toEqual({ project: 'p' });
  });
});

it('scores are compared as they are written', () => {
  expect(scoreCondition('helpful>=0.5')).toEqual({ metric: 'helpful', value: { gte: 0.5 } });
  expect(scoreCondition('cost < -1e-3')).toEqual({ metric: 'cost', value: { lt: -0.001 } });
  expect(scoreCondition('a=b=1')).toEqual({ metric: 'a=b', value: { eq: 1 } });
  expect(scoreCondition('a!=0')).toEqual({ metric: 'a', value: { neq: 0 } });
  expect(scoreCondition('a>1.2.3')).toEqual({ metric: 'a>1.2.3' });
});

it('only other orders than the usual one are asked for', () => {
  expect(sortOrder(undefined)).toBeUndefined();
  expect(sortOrder('newest')).toBeUndefined();
  expect(sortOrder('oldest')).toEqual([{ field: 'created_at', order: 'ASC' }]);
});
