import { keepPreviousData, queryOptions } from '@tanstack/react-query';
import { api, body, type Schemas } from '../api/client';
import type { Width } from './series';

export type Metric = Schemas['Metric'];
export type TrafficGroup = Schemas['TrafficGroup'];

/** What was asked since a moment (epoch ms), by time and by model. */
export const trafficQuery = (project: string, width: Width, from: number) =>
  queryOptions({
    queryKey: ['traffic', project, width, from],
    queryFn: () =>
      body(
        api.GET('/api/v1/projects/{project}/traffic', {
          params: { path: { project }, query: { width, from: String(from) } },
        }),
      ),
    placeholderData: keepPreviousData,
  });

/** Tokens and costs since a moment (epoch ms), by model. */
export const usageQuery = (project: string, from: number) =>
  queryOptions({
    queryKey: ['usage', project, from],
    queryFn: () =>
      body(
        api.GET('/api/v1/projects/{project}/usage', {
          params: { path: { project }, query: { group_by: 'model', from: String(from) } },
        }),
      ),
    placeholderData: keepPreviousData,
  });

/** A metric in groups: by model, or by model in each hour or day. */
export const statisticsQuery = (project: string, metric: string, groupBy: 'model' | Width, from: number) =>
  queryOptions({
    queryKey: ['statistics', project, metric, groupBy, from],
    queryFn: () =>
      body(
        api.GET('/api/v1/metrics/{key}/statistics', {
          params: {
            path: { key: metric },
            query: { project, group_by: groupBy, by_model: groupBy !== 'model', from: String(from) },
          },
        }),
      ),
  });
