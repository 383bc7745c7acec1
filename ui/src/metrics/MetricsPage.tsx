import { Button, SegmentedControl, SimpleGrid, Stack } from '@mantine/core';
import { useDisclosure } from '@mantine/hooks';
import { IconChartLine, IconLock, IconPlus } from '@tabler/icons-react';
import { useQueries, useQuery } from '@tanstack/react-query';
import { Link, useNavigate, useSearch } from '@tanstack/react-router';
import { useMemo } from 'react';
import { ChartCard } from '../components/ChartCard';
import { EmptyState } from '../components/EmptyState';
import { ErrorNotice } from '../components/ErrorNotice';
import { duration } from '../components/format';
import { Page } from '../components/Page';
import { useMay, useProject } from '../shell/useProject';
import { LatencyPercentiles } from './LatencyPercentiles';
import { MetricDialog } from './MetricDialog';
import { MetricTable } from './MetricTable';
import { MetricTrend } from './MetricTrend';
import { sampleQuery, statisticsQuery } from './queries';
import { aligned, bucketLabel, buckets, counted, SPANS, type Span } from './series';

const ROUTE = '/projects/$project/metrics';
const MEASURED = [
  'latency',
  'time_to_first_token',
  'prompt_tokens',
  'cached_tokens',
  'completion_tokens',
] as const;

/** What a project's traffic looks like, and how good the answers are said to be. */
export function MetricsPage() {
  const project = useProject();
  const navigate = useNavigate({ from: ROUTE });
  const asked = useSearch({ from: ROUTE }).span;
  const span: Span = asked && Object.hasOwn(SPANS, asked) ? (asked as Span) : '7d';
  // Fixed while the page is open: another moment would be another question each time it is drawn.
  const starts = useMemo(() => buckets(span, Date.now()), [span]);
  const mayManage = useMay('metric:manage');
  const [creating, dialog] = useDisclosure(false);
  if (!useMay('project:read')) {
    return (
      <EmptyState icon={IconLock} title="This key may not see the project">
        It lacks the permission <code>project:read</code>.
      </EmptyState>
    );
  }
  const actions = (
    <>
      <SegmentedControl
        size="xs"
        aria-label="Time"
        data={Object.entries(SPANS).map(([value, { label }]) => ({ value, label }))}
        value={span}
        onChange={(next) => void navigate({ search: { span: next } })}
      />
      {mayManage && (
        <Button size="xs" leftSection={<IconPlus size={15} />} onClick={dialog.open}>
          Create metric
        </Button>
      )}
    </>
  );
  return (
    <Page
      title="Metrics"
      description="Finished answers of the models here, by the hour or, for longer times, the day (UTC)."
      actions={actions}
    >
      <Stack gap="lg">
        <Traffic project={project} span={span} starts={starts} />
        <LatencyPercentiles project={project} from={starts[0]!} />
        <MetricTrend project={project} span={span} starts={starts} />
        <MetricTable project={project} />
      </Stack>
      <MetricDialog project={project} opened={creating} onClose={dialog.close} />
    </Page>
  );
}

function Traffic({ project, span, starts }: { project: string; span: Span; starts: number[] }) {
  const mayRead = useMay('interaction:read');
  const from = starts[0]!;
  const measured = useQueries({
    queries: MEASURED.map((key) => statisticsQuery(project, key, SPANS[span].width, from)),
  });
  const failed = useQuery({ ...sampleQuery(project, 'failed', from), enabled: mayRead });
  const error = measured.find((query) => query.error)?.error;
  if (error) return <ErrorNotice error={error} title="The traffic could not be read" />;
  const loading = measured.some((query) => !query.data) || (mayRead && failed.isPending);
  const [latency, first, prompt, cached, completion] = measured.map((query) =>
    aligned(starts, query.data ?? []),
  );
  const errors = counted(
    starts,
    (failed.data?.data ?? []).map((row) => Date.parse(row.created_at)),
  );
  const names = starts.map((start) => bucketLabel(start, span));
  const all = failed.data?.total_count ?? 0;
  if (!loading && latency!.every((bucket) => !bucket) && all === 0) {
    return (
      <EmptyState
        icon={IconChartLine}
        title="No traffic in this time"
        action={
          <Button
            renderRoot={(props) => <Link to="/projects/$project/chat" params={{ project }} {...props} />}
            variant="default"
          >
            Ask something
          </Button>
        }
      >
        Every request counts by itself: nothing has to be set up. Look at a longer time, or ask a model.
      </EmptyState>
    );
  }
  return (
    <SimpleGrid cols={{ base: 1, lg: 2 }}>
      <ChartCard
        title="Traffic"
        loading={loading}
        kind="bar"
        names={names}
        series={[
          {
            name: 'Finished answers',
            color: 'indigo.6',
            values: latency!.map((bucket) => bucket?.count ?? 0),
          },
        ]}
      />
      {mayRead && (
        <ChartCard
          title="Errors"
          note={
            failed.error
              ? `They could not be read: ${failed.error.message}`
              : failed.data?.has_more
                ? `The newest ${failed.data.data.length} of ${all} only.`
                : `${all} requests failed or were cut off.`
          }
          loading={loading}
          kind="bar"
          names={names}
          series={[{ name: 'Errors', color: 'red.6', values: errors }]}
        />
      )}
      <ChartCard
        title="Latency, mean"
        loading={loading}
        kind="line"
        names={names}
        format={duration}
        series={[
          { name: 'First token', color: 'teal.6', values: first!.map((bucket) => bucket?.mean ?? null) },
          { name: 'Total', color: 'indigo.6', values: latency!.map((bucket) => bucket?.mean ?? null) },
        ]}
      />
      <ChartCard
        title="Tokens"
        loading={loading}
        kind="bar"
        names={names}
        series={[
          {
            name: 'Prompt, computed',
            color: 'indigo.6',
            values: prompt!.map((bucket, index) => (bucket?.sum ?? 0) - (cached![index]?.sum ?? 0)),
          },
          { name: 'Prompt, cached', color: 'teal.6', values: cached!.map((bucket) => bucket?.sum ?? 0) },
          { name: 'Completion', color: 'orange.6', values: completion!.map((bucket) => bucket?.sum ?? 0) },
        ]}
      />
    </SimpleGrid>
  );
}
