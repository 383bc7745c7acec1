import { queryOptions } from '@tanstack/react-query';
import { api, body, type Schemas } from '../api/client';

export type Metric = Schemas['Metric'];
export type MetricGroup = Schemas['MetricGroup'];

/** How many of the newest interactions percentiles are made of, and errors are counted in. */
export const SAMPLE = 500;

export const statisticsQuery = (
  project: string,
  metric: string,
  groupBy: 'model' | 'hour' | 'day',
  from: number,
) =>
  queryOptions({
    queryKey: ['statistics', project, metric, groupBy, from],
    queryFn: async () =>
      (
        await body(
          api.GET('/api/v1/metrics/{key}/statistics', {
            params: { path: { key: metric }, query: { project, group_by: groupBy, from: String(from) } },
          }),
        )
      ).data,
  });

/** The newest interactions that ended like this, and how many there are in all. */
export const sampleQuery = (project: string, kind: 'finished' | 'failed', from: number) =>
  queryOptions({
    queryKey: ['sample', project, kind, from],
    queryFn: () =>
      body(
        api.POST('/api/v1/interactions/search', {
          body: {
            project,
            source: ['LIVE'],
            state: kind === 'failed' ? ['error', 'aborted'] : ['complete', 'length'],
            timerange: { from },
            limit: SAMPLE,
            count: true,
          },
        }),
      ),
  });
