import { describe, expect, it } from 'vitest';
import { asCode, python } from './code';
import { chatRequest } from './request';
import { decodeShared, encodeShared } from './share';
import type { Settings, Turn } from './types';

const question: Turn = { id: 'q', parent: null, role: 'user', text: "It's true" };
const everything: Settings = {
  model: 'smollm2',
  system: 'Be kind.',
  temperature: 0,
  topP: 0.5,
  maxTokens: 9,
  seed: 7,
  stop: ['\n'],
  labels: { app: 'ü' },
  store: false,
  answerSchema: { name: '', schema: '{"type": "object"}', strict: true, complete: false },
};

describe('chatRequest', () => {
  it('says nothing of what is left open', () => {
    expect(chatRequest('support', {}, [question])).toEqual({
      model: 'support',
      messages: [{ role: 'user', content: "It's true" }],
    });
  });

  it('says everything that is set', () => {
    expect(chatRequest('support', everything, [question], 'session')).toEqual({
      model: 'support/smollm2',
      messages: [
        { role: 'system', content: 'Be kind.' },
        { role: 'user', content: "It's true" },
      ],
      temperature: 0,
      top_p: 0.5,
      max_tokens: 9,
      seed: 7,
      stop: ['\n'],
      response_format: {
        type: 'json_schema',
        json_schema: { name: 'answer', schema: { type: 'object' }, strict: true },
      },
      labels: { app: 'ü' },
      store: false,
      session_id: 'session',
    });
  });

  it('takes part in an A/B test only where the project chooses the model', () => {
    expect(chatRequest('p', { abTest: 't' }, [question])).toMatchObject({ model: 'p', ab_campaign: 't' });
    expect(chatRequest('p', { abTest: 't', model: 'm' }, [question])).not.toHaveProperty('ab_campaign');
  });

  it('sends images as parts, and leaves out answers that never came', () => {
    const image: Turn = { ...question, images: ['data:image/png;base64,AA=='] };
    const nothing: Turn = { id: 'a', parent: 'q', role: 'assistant', text: '' };
    expect(chatRequest('p', {}, [image, nothing]).messages).toEqual([
      {
        role: 'user',
        content: [
          { type: 'text', text: "It's true" },
          { type: 'image_url', image_url: { url: 'data:image/png;base64,AA==' } },
        ],
      },
    ]);
  });
});

describe('asCode', () => {
  const request = chatRequest('support', everything, [question], 'session');

  it('writes Python', () => {
    expect(python({ a: [true, false, null], b: 1.5, c: 'x"y\n' })).toBe(
      '{"a": [True, False, None], "b": 1.5, "c": "x\\"y\\n"}',
    );
    expect(asCode(request, 'sdk', 'http://h')).toContain('    model="smollm2",\n');
    expect(asCode(request, 'sdk', 'http://h')).toContain('default_project="support"');
  });

  it("uses only what OpenAI's library has, and the rest as a body of its own", () => {
    const code = asCode(request, 'openai', 'http://h');
    expect(code).toContain('metadata={"app": "ü"}');
    expect(code).toContain('extra_body={"session_id": "session"}');
    expect(code).not.toContain('labels=');
  });

  it('ends no string of the shell', () => {
    expect(asCode(request, 'curl', 'http://h')).toContain("It'\\''s true");
  });
});

describe('share', () => {
  it('comes back as it was', () => {
    const shared = { settings: [everything, {}], draft: 'Ça va? 你好 🌊' };
    const text = encodeShared(shared);
    expect(text).toMatch(/^[\w-]+$/);
    expect(decodeShared(text)).toEqual(shared);
  });

  it('takes only what settings may be', () => {
    const forged = {
      settings: [{ model: 7, temperature: 'hot', labels: { a: 1, b: 'c' }, key: 'secret' }],
      draft: {},
    };
    const text = encodeShared(forged as never);
    expect(decodeShared(text)).toEqual({ settings: [{ labels: { b: 'c' } }], draft: '' });
    for (const broken of ['', '%', 'nonsense', encodeShared([] as never), encodeShared({} as never)]) {
      expect(decodeShared(broken)).toBeNull();
    }
  });
});
