import { ApiError } from '../api/errors';

/** What the server said about one field of a form: `name` as in the request's body. */
export function fieldError(error: Error | null, ...names: string[]): string | undefined {
  if (!(error instanceof ApiError) || !error.param) return undefined;
  const of = error.param;
  return names.some((name) => of === name || of.startsWith(`${name}.`) || of.startsWith(`${name}[`))
    ? error.message
    : undefined;
}

/** The error if none of these fields shows it. */
export function otherError(error: Error | null, ...names: string[]): Error | null {
  return fieldError(error, ...names) ? null : error;
}
