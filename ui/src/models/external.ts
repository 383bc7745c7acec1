/** An external model as it is being written, and as the API takes it. */

import type { Schemas } from '../api/client';
import type { Model } from './queries';

export interface ExternalDraft {
  name: string;
  key: string;
  provider: string;
  externalModelId: string;
  /** Empty: as it is. What is stored is never shown. */
  apiKey: string;
  removeKey: boolean;
  endpoint: string;
  promptPrice?: number;
  completionPrice?: number;
  cachedPrice?: number;
  currency: string;
  contextLength?: number;
  /** Beside text, which all have. Empty: as the profile says. */
  capabilities: string[];
  /** JSON objects. */
  extraParams: string;
  profile: string;
}

export const CAPABILITIES = [
  { value: 'ImageUnderstanding', label: 'Images' },
  { value: 'Reasoning', label: 'Reasoning' },
];

export const EMPTY: ExternalDraft = {
  name: '',
  key: '',
  provider: 'openai',
  externalModelId: '',
  apiKey: '',
  removeKey: false,
  endpoint: '',
  currency: 'USD',
  capabilities: [],
  extraParams: '',
  profile: '',
};

export function draftOfModel(model: Model): ExternalDraft {
  const external = model.external!;
  return {
    ...EMPTY,
    name: model.name,
    key: model.key,
    provider: model.provider,
    externalModelId: external.external_model_id,
    endpoint: external.endpoint ?? '',
    promptPrice: external.prices?.prompt,
    completionPrice: external.prices?.completion,
    cachedPrice: external.prices?.cached ?? undefined,
    currency: external.prices?.currency ?? 'USD',
    contextLength: model.context_length ?? undefined,
    capabilities: model.capabilities.filter((name) => name !== 'TextGeneration'),
    extraParams: jsonText(external.extra_params),
    profile: jsonText(external.profile),
  };
}

/** What registers it. Raises SyntaxError for what is not JSON. */
export function creation(draft: ExternalDraft): Schemas['ExternalModelCreate'] {
  const { capabilities, ...known } = said(draft);
  return {
    ...known,
    provider: draft.provider,
    ...(draft.key.trim() ? { key: draft.key.trim() } : {}),
    ...(draft.apiKey.trim() ? { api_key: draft.apiKey.trim() } : {}),
    ...(capabilities.length ? { capabilities } : {}),
  };
}

/** What became different. Raises SyntaxError for what is not JSON. */
export function changes(before: ExternalDraft, draft: ExternalDraft): Schemas['ExternalModelUpdate'] {
  const old: Record<string, unknown> = said(before);
  const changed = Object.entries(said(draft)).filter(
    ([name, value]) => JSON.stringify(value) !== JSON.stringify(old[name]),
  );
  return {
    ...Object.fromEntries(changed),
    ...(draft.removeKey ? { api_key: null } : draft.apiKey.trim() ? { api_key: draft.apiKey.trim() } : {}),
  };
}

/** What is wrong with the text of a JSON object; nothing with an empty one. */
export function jsonProblem(text: string): string | undefined {
  try {
    const value = jsonOf(text);
    const isObject = value === null || (typeof value === 'object' && !Array.isArray(value));
    return isObject ? undefined : 'This has to be a JSON object, such as {"name": 1}';
  } catch (cause) {
    return `This is not JSON: ${(cause as Error).message}`;
  }
}

function said(draft: ExternalDraft) {
  const { promptPrice: prompt, completionPrice: completion, cachedPrice: cached } = draft;
  const isFree = prompt === undefined && completion === undefined && cached === undefined;
  return {
    name: draft.name.trim(),
    external_model_id: draft.externalModelId.trim(),
    endpoint: draft.endpoint.trim() || null,
    // One price without the other is for the server to refuse, in its words.
    prices: isFree
      ? null
      : ({ prompt, completion, cached, currency: draft.currency.trim() } as Schemas['Prices']),
    context_length: draft.contextLength ?? null,
    capabilities: draft.capabilities,
    extra_params: jsonOf(draft.extraParams),
    profile: jsonOf(draft.profile),
  };
}

const jsonOf = (text: string): Record<string, unknown> | null => (text.trim() ? JSON.parse(text) : null);

const jsonText = (value: Record<string, unknown>): string =>
  Object.keys(value).length ? JSON.stringify(value, null, 2) : '';
