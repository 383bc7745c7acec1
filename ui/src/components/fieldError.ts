import { ApiError } from '../api/errors';

/** What the server said about one field of a form: `name` as in the request's body, which it need not repeat there. */
export function fieldError(error: Error | null, ...names: string[]): string | undefined {
  if (!(error instanceof ApiError) || !error.param) return undefined;
  const of = error.param;
  const isIts = names.some((name) => of === name || of.startsWith(`${name}.`) || of.startsWith(`${name}[`));
  if (!isIts) return undefined;
  const words = error.message.startsWith(`${of}: `) ? error.message.slice(of.length + 2) : error.message;
  return words.charAt(0).toUpperCase() + words.slice(1);
}

/** The error if none of these fields shows it. */
export function otherError(error: Error | null, ...names: string[]): Error | null {
  return fieldError(error, ...names) ? null : error;
}
