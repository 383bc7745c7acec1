import { afterEach, describe, expect, it, vi } from 'vitest';
import { prettyJson, seconds, tokensPerSecond } from './figures';
import { events, streamChat } from './stream';

async function read(text: string, size: number): Promise<string[]> {
  const bytes = new TextEncoder().encode(text);
  const stream = new ReadableStream<Uint8Array>({
    start(controller) {
      for (let at = 0; at < bytes.length; at += size) controller.enqueue(bytes.slice(at, at + size));
      controller.close();
    },
  });
  const found: string[] = [];
  for await (const data of events(stream)) found.push(data);
  return found;
}

it('reads events however their bytes are cut, and skips comments', async () => {
  const text = 'data: {"a":"ü🌊"}\n\n: ping\n\ndata: [DONE]\n\n';
  for (const size of [1, 2, 3, 7, 1000]) expect(await read(text, size)).toEqual(['{"a":"ü🌊"}', '[DONE]']);
});

it('does not take an event that was cut for a whole one', async () => {
  expect(await read('data: 1\n\ndata: 2', 4)).toEqual(['1']);
});

it('tells figures as people read them', () => {
  expect([12, 994.6, 1234, 12_345].map(seconds)).toEqual(['12 ms', '995 ms', '1.23 s', '12.3 s']);
  const usage = { prompt_tokens: 1, completion_tokens: 11, total_tokens: 12 };
  expect(tokensPerSecond({ usage, firstTokenMs: 1000, totalMs: 2000 })).toBe(10);
  expect(tokensPerSecond({ usage, firstTokenMs: 1000, totalMs: 1000 })).toBeNull();
  expect(
    tokensPerSecond({ usage: { ...usage, completion_tokens: 1 }, firstTokenMs: 1, totalMs: 2 }),
  ).toBeNull();
});

it('shows JSON objects with line breaks, and leaves other text alone', () => {
  expect(prettyJson(' {"a":1} ')).toBe('{\n  "a": 1\n}');
  for (const text of ['{"a":1', '1', '"text"', 'Hello.', '']) expect(prettyJson(text)).toBeNull();
});

describe('what goes wrong is told for what it is', () => {
  const ask = (onChunk = () => {}) =>
    streamChat({ model: 'p', messages: [] }, new AbortController().signal, () => {}, onChunk);
  const answer = (body: BodyInit) =>
    vi.stubGlobal('fetch', async () => new Response(body, { headers: { 'x-request-id': 'req-1' } }));
  afterEach(() => {
    vi.unstubAllGlobals();
  });

  it('a server that cannot be reached', async () => {
    vi.stubGlobal('fetch', () => Promise.reject(new TypeError('Failed to fetch')));
    await expect(ask()).rejects.toMatchObject({ code: 'unreachable', status: 0 });
  });

  it('a connection that breaks in the middle', async () => {
    const broken = new ReadableStream({
      pull: (controller) => controller.error(new TypeError('network error')),
    });
    answer(broken);
    await expect(ask()).rejects.toMatchObject({ code: 'stream_ended', requestId: 'req-1' });
  });

  it('a mistake of the page', async () => {
    answer('data: {"choices":[]}\n\ndata: [DONE]\n\n');
    const mistake = new TypeError('x is undefined');
    const onChunk = () => {
      throw mistake;
    };
    await expect(ask(onChunk)).rejects.toBe(mistake);
  });
});
