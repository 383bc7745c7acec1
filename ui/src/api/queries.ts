import { MutationCache, QueryCache, QueryClient, queryOptions } from '@tanstack/react-query';
import { api, body } from './client';
import { ApiError } from './errors';

/** Called when the server says that nobody is signed in any more. */
let signedOut = () => {};

export function onSignedOut(callback: () => void) {
  signedOut = callback;
}

const onError = (error: Error) => {
  if (error instanceof ApiError && error.isSignedOut) signedOut();
};

export const queryClient = new QueryClient({
  queryCache: new QueryCache({ onError }),
  mutationCache: new MutationCache({ onError }),
  defaultOptions: {
    queries: {
      staleTime: 15_000,
      // The server's word on a bad request is final; only what may pass by itself is asked again.
      retry: (failures, error) =>
        failures < 2 && error instanceof ApiError && [0, 502, 503, 504].includes(error.status),
    },
  },
});

/** Who is signed in, and what they may do. */
export const meQuery = queryOptions({ queryKey: ['me'], queryFn: () => body(api.GET('/api/v1/me')) });

export const projectsQuery = queryOptions({
  queryKey: ['projects'],
  queryFn: async () => (await body(api.GET('/api/v1/projects'))).data,
});

/** What requests to a project can name. */
export const modelsQuery = (project: string) =>
  queryOptions({
    queryKey: ['models', project],
    queryFn: async () => (await body(api.GET('/api/v1/models', { params: { query: { project } } }))).data,
  });

export const metricsQuery = (project: string) =>
  queryOptions({
    queryKey: ['metrics', project],
    queryFn: async () => (await body(api.GET('/api/v1/metrics', { params: { query: { project } } }))).data,
  });

export const abTestsQuery = (project: string) =>
  queryOptions({
    queryKey: ['ab_tests', project],
    queryFn: async () => (await body(api.GET('/api/v1/ab_tests', { params: { query: { project } } }))).data,
  });

export const rolesQuery = queryOptions({
  queryKey: ['roles'],
  queryFn: async () => (await body(api.GET('/api/v1/roles'))).data,
});
