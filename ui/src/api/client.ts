import createClient from 'openapi-fetch';
import { errorOf, reach } from './errors';
import type { components, paths } from './schema';

export type Schemas = components['schemas'];

/** The public API, typed by its own description. Whatever is not a success is thrown as an ApiError. */
export const api = createClient<paths>({
  baseUrl: window.location.origin,
  // Looked up at each call, so that tests may put theirs in its place.
  fetch: (request) => reach(request),
});

api.use({
  async onResponse({ response }) {
    if (!response.ok) throw await errorOf(response);
  },
});

/** The body of a successful answer. */
export async function body<T>(answer: Promise<{ data?: T }>): Promise<T> {
  return (await answer).data as T;
}
