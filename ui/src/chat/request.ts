import type { Schemas } from '../api/client';
import type { AnswerSchema, Settings, Turn } from './types';

/** The body of a chat request, in the order in which people read it. */
export type ChatRequest = Schemas['ChatRequest'];

/** What the settings and the turns before an answer ask for. Raises SyntaxError for a schema that is not JSON. */
export function chatRequest(
  project: string,
  settings: Settings,
  turns: Turn[],
  sessionId?: string,
): ChatRequest {
  const model = settings.model ? `${project}/${settings.model}` : project;
  return compact({
    model,
    messages: [
      ...(settings.system ? [{ role: 'system' as const, content: settings.system }] : []),
      ...turns.filter((turn) => turn.role === 'user' || turn.text).map(message),
    ],
    temperature: settings.temperature,
    top_p: settings.topP,
    max_tokens: settings.maxTokens,
    seed: settings.seed,
    stop: settings.stop?.length ? settings.stop : undefined,
    response_format: settings.answerSchema && responseFormat(settings.answerSchema),
    labels: settings.labels && Object.keys(settings.labels).length ? settings.labels : undefined,
    store: settings.store,
    ab_campaign: settings.model ? undefined : settings.abTest,
    session_id: sessionId,
  }) as ChatRequest;
}

export function responseFormat({ name, schema, strict, complete }: AnswerSchema): Schemas['ResponseFormat'] {
  const envelope = compact({
    name: name || 'answer',
    schema: JSON.parse(schema) as Record<string, unknown>,
    strict: strict || undefined,
    complete: complete || undefined,
  });
  return { type: 'json_schema', json_schema: envelope as Schemas['JsonSchemaFormat'] };
}

function message(turn: Turn): Schemas['Message'] {
  if (!turn.images?.length) return { role: turn.role, content: turn.text };
  const images = turn.images.map((url) => ({ type: 'image_url' as const, image_url: { url } }));
  return {
    role: turn.role,
    content: [...(turn.text ? [{ type: 'text' as const, text: turn.text }] : []), ...images],
  };
}

function compact<T extends object>(fields: T): Partial<T> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as Partial<T>;
}
