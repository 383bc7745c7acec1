import type { Schemas } from '../api/client';
import { ApiError, errorOf, reach } from '../api/errors';
import type { ChatRequest } from './request';

export type Chunk = Schemas['ChatChunk'] | { error: Schemas['ErrorDetail'] };

const ENDED = { done: true, value: undefined } as const;

export interface StreamHead {
  requestId: string | null;
  abTest: string | null;
}

/**
 * Ask, and hand over each chunk as it comes. Returns when the answer is complete and stored.
 *
 * Throws an ApiError, also for a stream that ended without saying that it was whole; a DOMException when `signal` aborts.
 */
export async function streamChat(
  request: ChatRequest,
  signal: AbortSignal,
  onHead: (head: StreamHead) => void,
  onChunk: (chunk: Schemas['ChatChunk']) => void,
): Promise<void> {
  const response = await reach('/api/v1/chat/completions', {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ ...request, stream: true, stream_options: { include_usage: true } }),
    signal,
  });
  if (!response.ok || !response.body) throw await errorOf(response);
  const requestId = response.headers.get('x-request-id');
  onHead({ requestId, abTest: response.headers.get('x-adaptive-ab-campaign') });
  for await (const data of events(response.body)) {
    if (data === '[DONE]') return;
    const chunk = JSON.parse(data) as Chunk;
    if ('error' in chunk) throw new ApiError(500, chunk.error, requestId);
    onChunk(chunk);
  }
  signal.throwIfAborted();
  const message = 'The connection ended in the middle of the answer. What came of it is kept; try again.';
  throw new ApiError(0, { message, code: 'stream_ended' }, requestId);
}

/** The data of server-sent events, however the bytes are cut. Ends with the connection, whether it was closed or broke. */
export async function* events(bytes: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  const reader = bytes.getReader();
  const decoder = new TextDecoder();
  let rest = '';
  try {
    for (;;) {
      const { done, value } = await reader.read().catch(() => ENDED);
      if (done) return;
      rest += decoder.decode(value, { stream: true });
      const blocks = rest.split('\n\n');
      rest = blocks.pop()!;
      for (const block of blocks) {
        if (block.startsWith('data: ')) yield block.slice('data: '.length);
      }
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}
