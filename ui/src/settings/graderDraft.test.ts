import { describe, expect, it } from 'vitest';
import { changes, creation, draftOfGrader, EMPTY, withExample } from './graderDraft';
import type { Grader } from './queries';

const grader = {
  key: 'polite',
  name: 'Polite',
  criteria: 'The answer is polite.',
  model: 'judge',
  sampling_rate: 0.125,
  scale: null,
  template: null,
  examples: [{ input: 'Hi', output: 'Go away', score: 'FAIL', reasoning: 'Rude.' }],
} as unknown as Grader;

describe('a grader', () => {
  it('comes back as it was', () => {
    expect(changes(draftOfGrader(grader))).toEqual({
      name: 'Polite',
      criteria: 'The answer is polite.',
      model: 'judge',
      sampling_rate: 0.125,
      template: null,
      examples: [{ input: 'Hi', output: 'Go away', score: 'FAIL', reasoning: 'Rude.' }],
    });
  });

  it('with a scale has examples with numbers', () => {
    const draft = withExample({ ...EMPTY, key: ' stars ', criteria: 'Good.', model: 'judge', scaled: true });
    expect(creation('shop', draft)).toMatchObject({
      key: 'stars',
      project: 'shop',
      scale: { min: 1, max: 5 },
      sampling_rate: 1,
      examples: [{ score: 5 }],
    });
  });

  it('gets examples with ids of their own', () => {
    const draft = withExample(withExample(draftOfGrader(grader)));
    expect(draft.examples.map(({ id }) => id)).toEqual([0, 1, 2]);
  });
});
