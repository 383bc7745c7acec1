import { describe, expect, it } from 'vitest';
import { changes, creation, draftOfModel, EMPTY, jsonProblem } from './external';
import type { Model } from './queries';

const draft = { ...EMPTY, name: 'GPT', externalModelId: 'gpt-4o', apiKey: ' sk-1 ' };

const model = {
  key: 'gpt',
  name: 'GPT',
  provider: 'openai',
  capabilities: ['TextGeneration', 'ImageUnderstanding'],
  context_length: 128_000,
  external: {
    external_model_id: 'gpt-4o',
    endpoint: null,
    has_api_key: true,
    extra_params: { service_tier: 'flex' },
    prices: { prompt: 2.5, completion: 10, cached: null, currency: 'USD' },
    profile: { images: true },
  },
} as unknown as Model;

describe('an external model', () => {
  it('is registered with what was said about it', () => {
    expect(creation(draft)).toEqual({
      name: 'GPT',
      provider: 'openai',
      external_model_id: 'gpt-4o',
      api_key: 'sk-1',
      endpoint: null,
      prices: null,
      context_length: null,
      extra_params: null,
      profile: null,
    });
    const more = { ...draft, key: 'gpt', promptPrice: 0, completionPrice: 2, capabilities: ['Reasoning'] };
    expect(creation({ ...more, extraParams: '{"a": 1}' })).toMatchObject({
      key: 'gpt',
      prices: { prompt: 0, completion: 2, currency: 'USD' },
      capabilities: ['Reasoning'],
      extra_params: { a: 1 },
    });
  });

  it('is changed in what became different only', () => {
    const before = draftOfModel(model);
    expect(changes(before, before)).toEqual({});
    expect(changes(before, { ...before, apiKey: 'sk-2', contextLength: undefined })).toEqual({
      api_key: 'sk-2',
      context_length: null,
    });
    expect(changes(before, { ...before, removeKey: true, extraParams: '' })).toEqual({
      api_key: null,
      extra_params: null,
    });
    expect(changes(before, { ...before, completionPrice: 12 }).prices).toMatchObject({ completion: 12 });
  });

  it('has JSON objects only', () => {
    expect(jsonProblem('')).toBeUndefined();
    expect(jsonProblem('{"a": 1}')).toBeUndefined();
    expect(jsonProblem('[1]')).toContain('object');
    expect(jsonProblem('{')).toContain('not JSON');
  });
});
