/** Model settings as they are being written, and as the API takes them. */

import type { Schemas } from '../api/client';
import { responseFormat } from '../chat/request';
import type { AnswerSchema } from '../chat/types';

export interface Draft {
  systemPrompt: string;
  temperature?: number;
  topP?: number;
  maxTokens?: number;
  seed?: number;
  maxTtftMs?: number;
  stop: string[];
  /** Keys of models of the project, in their order. */
  fallbacks: string[];
  format: 'none' | 'text' | 'json_object' | 'json_schema';
  schema?: AnswerSchema;
}

export function draftOf(settings: Schemas['ModelSettings'] | null | undefined): Draft {
  const format = settings?.response_format;
  const wanted = format?.json_schema;
  return {
    systemPrompt: settings?.system_prompt ?? '',
    temperature: settings?.temperature ?? undefined,
    topP: settings?.top_p ?? undefined,
    maxTokens: settings?.max_tokens ?? undefined,
    seed: settings?.seed ?? undefined,
    maxTtftMs: settings?.max_ttft_ms ?? undefined,
    stop: [settings?.stop ?? []].flat(),
    fallbacks: settings?.fallbacks ?? [],
    format: format?.type ?? 'none',
    ...(wanted
      ? {
          schema: {
            name: wanted.name ?? '',
            schema: JSON.stringify(wanted.schema, null, 2),
            strict: wanted.strict ?? false,
            complete: wanted.complete ?? false,
          },
        }
      : {}),
  };
}

/** Everything that a deployment can be told: null takes away. Raises SyntaxError for a schema that is not JSON. */
export function settingsOf(draft: Draft): Schemas['ModelSettingsInput'] {
  return {
    system_prompt: draft.systemPrompt || null,
    temperature: draft.temperature ?? null,
    top_p: draft.topP ?? null,
    max_tokens: draft.maxTokens ?? null,
    seed: draft.seed ?? null,
    max_ttft_ms: draft.maxTtftMs ?? null,
    stop: draft.stop.length ? draft.stop : null,
    fallbacks: draft.fallbacks.length ? draft.fallbacks : null,
    response_format: formatOf(draft),
  };
}

function formatOf({ format, schema }: Draft): Schemas['ResponseFormat'] | null {
  if (format === 'none' || (format === 'json_schema' && !schema)) return null;
  return format === 'json_schema' ? responseFormat(schema!) : { type: format };
}

/** The arguments that requests have to send for this system prompt, in the order in which they come. */
export function placeholders(systemPrompt: string): string[] {
  const found = systemPrompt.matchAll(/\\\{\{|\{\{\s*([A-Za-z_][A-Za-z0-9_]{0,63})\s*\}\}/g);
  return [...new Set(Array.from(found, (match) => match[1]).filter((name) => name !== undefined))];
}
