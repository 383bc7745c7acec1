import { QueryClient, queryOptions } from '@tanstack/react-query';
import { api, body } from './client';
import { ApiError } from './errors';

export const queryClient = new QueryClient({
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

export const archivedProjectsQuery = queryOptions({
  queryKey: ['projects', 'archived'],
  queryFn: async () =>
    (await body(api.GET('/api/v1/projects', { params: { query: { archived: true } } }))).data,
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

export const keysQuery = queryOptions({
  queryKey: ['keys'],
  queryFn: async () => (await body(api.GET('/api/v1/keys'))).data,
});

export const teamsQuery = queryOptions({
  queryKey: ['teams'],
  queryFn: async () => (await body(api.GET('/api/v1/teams'))).data,
});

export const rolesQuery = queryOptions({
  queryKey: ['roles'],
  queryFn: async () => (await body(api.GET('/api/v1/roles'))).data,
});

const GRADING_MS = 3_000;

/** Asked again while something waits to be judged. */
export const gradersQuery = (project: string) =>
  queryOptions({
    queryKey: ['graders', project],
    queryFn: async () => (await body(api.GET('/api/v1/graders', { params: { query: { project } } }))).data,
    refetchInterval: ({ state }) =>
      state.data?.some(({ progress }) => progress.pending + progress.running > 0) ? GRADING_MS : false,
  });
