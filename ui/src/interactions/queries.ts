import { keepPreviousData, queryOptions } from '@tanstack/react-query';
import { api, body, type Schemas } from '../api/client';
import { filterOf, PAGE_SIZES, type Search, selection, sortOrder } from './filter';

export type Interaction = Schemas['Interaction'];

export const GROUP_PAGE = 50;

/** A page of the list, and how many there are in all. */
export const interactionsQuery = (project: string, search: Search) => {
  const { open: _, group: __, ...asked } = search;
  return queryOptions({
    queryKey: ['interactions', project, asked],
    queryFn: () => {
      const size = asked.size ?? PAGE_SIZES[0];
      const page = asked.before ? { before: asked.before, last: size } : { after: asked.after, limit: size };
      return body(
        api.POST('/api/v1/interactions/search', {
          body: {
            ...selection(project, filterOf(asked)),
            ...page,
            order: sortOrder(asked.order),
            count: true,
          },
        }),
      );
    },
    placeholderData: keepPreviousData,
  });
};

export const groupsQuery = (project: string, search: Search, offset: number) =>
  queryOptions({
    queryKey: ['interactions', project, 'groups', search.group, filterOf(search), offset],
    queryFn: () =>
      body(
        api.POST('/api/v1/interactions/groups', {
          body: {
            ...selection(project, filterOf(search)),
            group_by: search.group!,
            order: 'count',
            descending: true,
            limit: GROUP_PAGE,
            offset,
            interactions: 1,
          },
        }),
      ),
    placeholderData: keepPreviousData,
  });

export const interactionQuery = (project: string, id: string) =>
  queryOptions({
    queryKey: ['interaction', project, id],
    queryFn: () =>
      body(
        api.GET('/api/v1/interactions/{completion_id}', {
          params: { path: { completion_id: id }, query: { project } },
        }),
      ),
  });

export const labelsQuery = (project: string) =>
  queryOptions({
    queryKey: ['labels', project],
    queryFn: async () => (await body(api.GET('/api/v1/labels', { params: { query: { project } } }))).data,
  });

export const outcomesQuery = (project: string, session: string) =>
  queryOptions({
    queryKey: ['outcomes', project, session],
    queryFn: async () =>
      (await body(api.GET('/api/v1/outcomes', { params: { query: { project, session_id: session } } }))).data,
  });
