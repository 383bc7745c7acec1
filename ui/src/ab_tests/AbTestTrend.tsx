import { useQuery } from '@tanstack/react-query';
import { api, body } from '../api/client';
import { ChartCard } from '../components/ChartCard';
import { Loaded } from '../components/Loaded';
import type { AbTest } from './verdict';

const COLORS = ['indigo.6', 'orange.6', 'teal.6', 'grape.6', 'red.6', 'cyan.7', 'lime.8', 'pink.6'];

/** The mean of each model's scores over the time of the test. */
export function AbTestTrend({ project, test }: { project: string; test: AbTest }) {
  const query = useQuery({
    queryKey: ['ab_test', project, test.key, 'series', test.scores],
    queryFn: () =>
      body(
        api.GET('/api/v1/ab_tests/{key}/series', { params: { path: { key: test.key }, query: { project } } }),
      ),
    placeholderData: (before) => before,
  });
  return (
    <Loaded query={query} failed="The scores over time could not be read">
      {({ data }) => {
        const starts = [...new Set(data.map((bucket) => bucket.begins_at))].sort();
        return (
          <ChartCard
            title={test.score_type === 'DIRECT' ? 'Mean score over time' : 'Comparisons over time'}
            note={starts.length ? undefined : 'No answer of this test was scored yet.'}
            kind="line"
            names={starts.map((start) =>
              new Date(start).toLocaleString(undefined, { dateStyle: 'short', timeStyle: 'short' }),
            )}
            series={test.models.map((model, index) => ({
              name: model.key,
              color: COLORS[index % COLORS.length]!,
              values: starts.map(
                (start) =>
                  data.find((bucket) => bucket.begins_at === start && bucket.model === model.key)?.mean ??
                  null,
              ),
            }))}
          />
        );
      }}
    </Loaded>
  );
}
