import { queryOptions, useQueryClient } from '@tanstack/react-query';
import { api, body, type Schemas } from '../api/client';

export type Model = Schemas['Model'];
export type ModelImport = Schemas['ModelImport'];

const FOLLOWING_MS = 1_000;
const LOADING_MS = 2_000;
const IDLE_MS = 15_000;

const isLoading = (model: Model) => model.state === 'PENDING';

/** The models of a project with their state, asked again more often while one is being loaded. */
export const projectModelsQuery = (project: string) =>
  queryOptions({
    queryKey: ['registered models', 'of', project],
    queryFn: async () =>
      (await body(api.GET('/api/v1/projects/{project}/models', { params: { path: { project } } }))).data,
    refetchInterval: ({ state }) => (state.data?.some(isLoading) ? LOADING_MS : IDLE_MS),
  });

/** All models of the server, for who manages them. */
export const registeredModelsQuery = queryOptions({
  queryKey: ['registered models', 'all'],
  queryFn: async () => (await body(api.GET('/api/v1/admin/models'))).data,
});

/** The newest imports of the server, followed while one runs. */
export const importsQuery = queryOptions({
  queryKey: ['imports'],
  queryFn: async () => (await body(api.GET('/api/v1/admin/imports'))).data,
  refetchInterval: ({ state }) => (state.data?.some(isRunning) ? FOLLOWING_MS : IDLE_MS),
});

export const isRunning = ({ state }: ModelImport) => state === 'RUNNING';

export const importSourcesQuery = queryOptions({
  queryKey: ['import sources'],
  queryFn: () => body(api.GET('/api/v1/admin/imports/sources')),
});

export const modelQuery = (project: string, model: string) =>
  queryOptions({
    queryKey: ['registered models', 'of', project, model],
    queryFn: () =>
      body(api.GET('/api/v1/projects/{project}/models/{model}', { params: { path: { project, model } } })),
    refetchInterval: ({ state }) => (state.data && isLoading(state.data) ? LOADING_MS : IDLE_MS),
  });

/** Ask again for everything that a change of a model shows in. */
export function useModelsChanged(project: string) {
  const client = useQueryClient();
  return () =>
    Promise.all([
      client.invalidateQueries({ queryKey: ['registered models'] }),
      client.invalidateQueries({ queryKey: ['models', project] }),
    ]);
}

export const deploymentIn = (model: Model, project: string) =>
  model.deployments.find((deployment) => deployment.project === project);
