/** A grader as it is being written, and as the API takes it. */

import type { Schemas } from '../api/client';
import type { Grader } from './queries';

export interface ExampleDraft {
  /** Of this page only. */
  id: number;
  input: string;
  output: string;
  /** A verdict, or a number of the grader's scale. */
  score: 'PASS' | 'FAIL' | 'NA' | number | undefined;
  reasoning: string;
}

export interface GraderDraft {
  key: string;
  name: string;
  criteria: string;
  model: string | null;
  /** Of new interactions, in percent. */
  share: number | undefined;
  scaled: boolean;
  least: number | undefined;
  greatest: number | undefined;
  template: string;
  examples: ExampleDraft[];
}

export const EMPTY: GraderDraft = {
  key: '',
  name: '',
  criteria: '',
  model: null,
  share: 100,
  scaled: false,
  least: 1,
  greatest: 5,
  template: '',
  examples: [],
};

export function draftOfGrader(grader: Grader): GraderDraft {
  return {
    key: grader.key,
    name: grader.name,
    criteria: grader.criteria,
    model: grader.model,
    share: Math.round(grader.sampling_rate * 10_000) / 100,
    scaled: grader.scale !== null,
    least: grader.scale?.min ?? 1,
    greatest: grader.scale?.max ?? 5,
    template: grader.template ?? '',
    examples: grader.examples.map((example, id) => ({
      id,
      input: example.input,
      output: example.output,
      score: example.score as ExampleDraft['score'],
      reasoning: example.reasoning ?? '',
    })),
  };
}

/** With one more example, which is empty. */
export function withExample(draft: GraderDraft): GraderDraft {
  const id = Math.max(-1, ...draft.examples.map((example) => example.id)) + 1;
  const score = draft.scaled ? draft.greatest : 'PASS';
  return { ...draft, examples: [...draft.examples, { id, input: '', output: '', score, reasoning: '' }] };
}

export function creation(project: string, draft: GraderDraft): Schemas['GraderCreate'] {
  return {
    ...said(draft),
    project,
    key: draft.key.trim(),
    enabled: true,
    ...(draft.scaled ? { scale: { min: Number(draft.least), max: Number(draft.greatest) } } : {}),
  };
}

/** Key and scale stay: scores that were given would mean something else. */
export function changes(draft: GraderDraft): Schemas['GraderUpdate'] {
  return { ...said(draft), template: draft.template.trim() ? draft.template : null };
}

function said(draft: GraderDraft) {
  return {
    ...(draft.name.trim() ? { name: draft.name.trim() } : {}),
    criteria: draft.criteria,
    model: draft.model!,
    sampling_rate: Number(draft.share) / 100,
    ...(draft.template.trim() ? { template: draft.template } : {}),
    examples: draft.examples.map(({ input, output, score, reasoning }) => ({
      input,
      output,
      // None at all is for the server to refuse, in its words.
      score: score!,
      ...(reasoning.trim() ? { reasoning } : {}),
    })),
  };
}
