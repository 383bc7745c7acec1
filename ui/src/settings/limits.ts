import type { Schemas } from '../api/client';

export type Limits = Schemas['Limits'];

/** The limits of a key or a project, in the order in which they are shown. */
export const LIMITS = [
  { name: 'requests_per_minute', label: 'Requests per minute', unit: 'requests/min' },
  { name: 'tokens_per_minute', label: 'Tokens per minute', unit: 'tokens/min' },
  { name: 'concurrent_requests', label: 'Requests at once', unit: 'at once' },
] as const;

export type LimitName = (typeof LIMITS)[number]['name'];

/** `20 requests/min, 4 at once`; empty where there are none. */
export function limitsText(limits: Limits | null | undefined): string {
  return LIMITS.filter(({ name }) => limits?.[name] != null)
    .map(({ name, unit }) => `${limits?.[name]} ${unit}`)
    .join(', ');
}
