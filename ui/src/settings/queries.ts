import { queryOptions } from '@tanstack/react-query';
import { api, body, type Schemas } from '../api/client';

export type ApiKey = Schemas['ApiKey'];
export type Grader = Schemas['Grader'];
export type Role = Schemas['Role'];
export type Share = Schemas['Share'];
export type User = Schemas['User'];

export const projectQuery = (project: string) =>
  queryOptions({
    queryKey: ['project', project],
    queryFn: () => body(api.GET('/api/v1/projects/{project}', { params: { path: { project } } })),
  });

export const usersQuery = queryOptions({
  queryKey: ['users'],
  queryFn: async () => (await body(api.GET('/api/v1/users'))).data,
});

export const permissionsQuery = queryOptions({
  queryKey: ['permissions'],
  queryFn: async () => (await body(api.GET('/api/v1/permissions'))).data,
  staleTime: Number.POSITIVE_INFINITY,
});

export const sharesQuery = (project: string) =>
  queryOptions({
    queryKey: ['shares', project],
    queryFn: async () =>
      (await body(api.GET('/api/v1/projects/{project}/shares', { params: { path: { project } } }))).data,
  });
