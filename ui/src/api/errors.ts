import type { components } from './schema';

type Detail = components['schemas']['ErrorDetail'];

/** A request that the server refused or could not be asked: what to tell, and what to quote. */
export class ApiError extends Error {
  readonly status: number;
  readonly code: string | null;
  readonly param: string | null;
  readonly requestId: string | null;

  constructor(status: number, detail: Partial<Detail>, requestId: string | null) {
    super((detail.message ?? 'The server did not say what went wrong.').replace(/^EntityNotFound: /, ''));
    this.name = 'ApiError';
    this.status = status;
    this.code = detail.code ?? null;
    this.param = detail.param ?? null;
    this.requestId = requestId;
  }

  /** Whether the cookie is missing, ended, or its key was revoked. */
  get isSignedOut(): boolean {
    return this.status === 401;
  }
}

/** Whether no answer came at all. */
export const isUnreachable = (error: Error | null) => error instanceof ApiError && error.status === 0;

let signedOut = () => {};

/** Let `callback` hear of every request that was refused because nobody is signed in; ends with what is returned. */
export function onSignedOut(callback: () => void): () => void {
  signedOut = callback;
  return () => {
    signedOut = () => {};
  };
}

/** The error of a response that is not ok. */
export async function errorOf(response: Response): Promise<ApiError> {
  const requestId = response.headers.get('x-request-id');
  if (response.status === 401 && !response.url.endsWith('/sign_in')) {
    signedOut();
    // The server's words are for programs, which send keys.
    return new ApiError(401, { message: 'You were signed out. Do this again.' }, requestId);
  }
  const body: unknown = await response.json().catch(() => null);
  const detail = (body as { error?: Partial<Detail> } | null)?.error;
  const plain = { message: `The server answered with status ${response.status}. Its log may say why.` };
  return new ApiError(response.status, detail ?? plain, requestId);
}

/** `fetch`, where failing to get any answer says so in words that help. What `signal` ends throws what it always does. */
export async function reach(input: RequestInfo | URL, init?: RequestInit): Promise<Response> {
  try {
    return await fetch(input, init);
  } catch (cause) {
    // A browser tells no more of a network that failed; whatever else throws a TypeError is a defect of the page.
    if (!(cause instanceof TypeError)) throw cause;
    const message = 'The server cannot be reached. Check that `adaptive serve` is running, then try again.';
    throw new ApiError(0, { message, code: 'unreachable' }, null);
  }
}
