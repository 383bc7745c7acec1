import type { Settings } from './types';

/** What a link carries: how to ask, and what was about to be asked. Nothing of the conversation, and no key. */
export interface Shared {
  settings: Settings[];
  draft: string;
}

/** As text that an address may contain. */
export function encodeShared(shared: Shared): string {
  const bytes = new TextEncoder().encode(JSON.stringify(shared));
  const binary = Array.from(bytes, (byte) => String.fromCharCode(byte)).join('');
  return btoa(binary).replaceAll('+', '-').replaceAll('/', '_').replace(/=+$/, '');
}

/** The other way round; null for what is no such text. Of what it has, only what settings may be is taken. */
export function decodeShared(text: string): Shared | null {
  try {
    const binary = atob(text.replaceAll('-', '+').replaceAll('_', '/'));
    const found: unknown = JSON.parse(
      new TextDecoder().decode(Uint8Array.from(binary, (c) => c.charCodeAt(0))),
    );
    if (!isObject(found) || !Array.isArray(found.settings)) return null;
    const settings = found.settings.slice(0, 4).filter(isObject).map(known);
    return settings.length ? { settings, draft: typeof found.draft === 'string' ? found.draft : '' } : null;
  } catch {
    return null;
  }
}

function known(given: Record<string, unknown>): Settings {
  const settings: Settings = {};
  for (const name of ['model', 'abTest', 'system'] as const) {
    if (typeof given[name] === 'string') settings[name] = given[name];
  }
  for (const name of ['temperature', 'topP', 'maxTokens', 'seed'] as const) {
    if (Number.isFinite(given[name])) settings[name] = given[name] as number;
  }
  if (typeof given.store === 'boolean') settings.store = given.store;
  if (Array.isArray(given.stop))
    settings.stop = given.stop.filter((item): item is string => typeof item === 'string');
  if (isObject(given.labels)) {
    settings.labels = Object.fromEntries(
      Object.entries(given.labels).filter((pair): pair is [string, string] => typeof pair[1] === 'string'),
    );
  }
  const wanted = given.answerSchema;
  if (isObject(wanted) && typeof wanted.schema === 'string') {
    const name = typeof wanted.name === 'string' ? wanted.name : '';
    settings.answerSchema = {
      name,
      schema: wanted.schema,
      strict: wanted.strict === true,
      complete: wanted.complete === true,
    };
  }
  return settings;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
