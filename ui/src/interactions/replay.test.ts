import { expect, it } from 'vitest';
import { path } from '../chat/conversation';
import type { Interaction } from './queries';
import { chatOf } from './replay';

it('a replay is the conversation with its answer and its parameters', () => {
  const chat = chatOf(
    {
      project: 'shop',
      model: 'smollm2',
      completion_id: '01a2034c-7d1b-7e30-8000-3a3211272d00',
      messages: [
        { role: 'system', content: 'Be brief.' },
        { role: 'user', content: 'Hello' },
        { role: 'assistant', content: 'Hi.' },
        {
          role: 'user',
          content: [
            { type: 'text', text: 'And this?' },
            { type: 'image_url', image_url: { url: '/images/p/a.png' } },
            { type: 'image_url', image_url: { url: 'https://example.com/track.png' } },
          ],
        },
      ],
      completion: '{"a":1}',
      state: 'complete',
      error: null,
      finish_reason: 'stop',
      labels: { env: 'test' },
      parameters: {
        temperature: 0.2,
        max_tokens: 40,
        seed: 7,
        stop: ['END'],
        top_p: null,
        response_format: { type: 'json_schema', json_schema: { name: 'n', schema: { type: 'object' } } },
      },
      usage: { prompt_tokens: 1, completion_tokens: 2, total_tokens: 3 },
    } as unknown as Interaction,
    'key-1',
    new Map([['/images/p/a.png', 'data:image/png;base64,AAAA']]),
  );
  expect(chat).toMatchObject({ owner: 'key-1', project: 'shop', title: 'Replay: Hello' });
  const [pane] = chat.panes;
  expect(pane!.settings).toEqual({
    model: 'smollm2',
    system: 'Be brief.',
    temperature: 0.2,
    maxTokens: 40,
    seed: 7,
    stop: ['END'],
    labels: { env: 'test' },
    answerSchema: { name: 'n', schema: '{\n  "type": "object"\n}', strict: false, complete: false },
  });
  const turns = path(pane!);
  expect(turns.map(({ role, text }) => [role, text])).toEqual([
    ['user', 'Hello'],
    ['assistant', 'Hi.'],
    ['user', 'And this?'],
    ['assistant', '{"a":1}'],
  ]);
  expect(turns[2]!.images).toEqual(['data:image/png;base64,AAAA']);
  expect(turns[3]!.answer).toMatchObject({
    state: 'done',
    completionId: '01a2034c-7d1b-7e30-8000-3a3211272d00',
  });
});

it('a replay of a failure says what it was', () => {
  const failed = {
    project: 'shop',
    messages: [{ role: 'user', content: 'Hello' }],
    completion: '',
    state: 'error',
    error: { message: 'The model is offline.', code: 'model_offline' },
    request_id: 'req-1',
    labels: {},
    parameters: {},
  } as unknown as Interaction;
  const answer = path(chatOf(failed, 'key-1', new Map()).panes[0]!).at(-1)!.answer!;
  expect(answer).toMatchObject({
    state: 'failed',
    error: { message: 'The model is offline.', requestId: 'req-1' },
  });
});
