import { describe, expect, it } from 'vitest';
import { draftOf, placeholders, settingsOf } from './draft';

describe('settings', () => {
  it('come back as they were', () => {
    const settings = {
      system_prompt: 'You help {{ name }}.',
      temperature: 0,
      top_p: 0.9,
      max_tokens: 40,
      seed: 7,
      max_ttft_ms: 500,
      stop: ['END'],
      fallbacks: ['second', 'third'],
      response_format: {
        type: 'json_schema' as const,
        json_schema: { name: 'n', schema: { type: 'object' }, strict: true, complete: true },
      },
    };
    expect(settingsOf(draftOf(settings))).toEqual(settings);
    expect(settingsOf(draftOf({ stop: 'END' })).stop).toEqual(['END']);
    expect(settingsOf(draftOf({ response_format: { type: 'text' } })).response_format).toEqual({
      type: 'text',
    });
  });

  it('that are empty are taken away', () => {
    const none = {
      system_prompt: null,
      temperature: null,
      top_p: null,
      max_tokens: null,
      seed: null,
      max_ttft_ms: null,
      stop: null,
      fallbacks: null,
      response_format: null,
    };
    expect(settingsOf(draftOf(null))).toEqual(none);
    expect(settingsOf({ ...draftOf(null), format: 'json_schema' })).toEqual(none);
  });

  it('with a schema that is not JSON are no settings', () => {
    const schema = { name: 'n', schema: '{', strict: false, complete: false };
    expect(() => settingsOf({ ...draftOf(null), format: 'json_schema', schema })).toThrow(SyntaxError);
  });
});

it('placeholders are what requests fill in', () => {
  expect(placeholders('{{ a }} {{b}} {{ a }} \\{{ c }} {{ 1 }} {{ d.e }}')).toEqual(['a', 'b']);
});
