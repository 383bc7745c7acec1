import type { Answer } from './types';

/** What an answer took, in words: times as this browser saw them. */
export function figures({ model, usage, firstTokenMs, totalMs }: Answer): string[] {
  const found = model ? [model] : [];
  if (usage) {
    const cached = usage.prompt_tokens_details?.cached_tokens ?? 0;
    found.push(`${count(usage.completion_tokens, 'token')}`);
    found.push(`prompt ${usage.prompt_tokens}${cached ? `, ${cached} cached` : ''}`);
  }
  if (firstTokenMs !== undefined) found.push(`first token ${seconds(firstTokenMs)}`);
  const speed = tokensPerSecond({ usage, firstTokenMs, totalMs });
  if (speed) found.push(`${speed} tokens/s`);
  return found;
}

/** Of all tokens but the first, which is the prompt's time. */
export function tokensPerSecond({
  usage,
  firstTokenMs,
  totalMs,
}: Pick<Answer, 'usage' | 'firstTokenMs' | 'totalMs'>) {
  if (!usage || usage.completion_tokens < 2 || firstTokenMs === undefined || totalMs === undefined)
    return null;
  const speed = ((usage.completion_tokens - 1) * 1000) / (totalMs - firstTokenMs);
  return Number.isFinite(speed) ? Math.round(speed) : null;
}

export function seconds(ms: number): string {
  return ms < 995 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(ms < 9950 ? 2 : 1)} s`;
}

function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? '' : 's'}`;
}

/** JSON with line breaks, null for what is no JSON object or array. */
export function prettyJson(text: string): string | null {
  const trimmed = text.trim();
  if (!/^[{[]/.test(trimmed) || trimmed.length > 500_000) return null;
  try {
    return JSON.stringify(JSON.parse(trimmed), null, 2);
  } catch {
    return null;
  }
}
