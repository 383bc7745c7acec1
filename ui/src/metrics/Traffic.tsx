import { Button, SimpleGrid, Stack } from '@mantine/core';
import { IconChartLine } from '@tabler/icons-react';
import { useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { ChartCard } from '../components/ChartCard';
import { EmptyState } from '../components/EmptyState';
import { count, duration } from '../components/format';
import { Loaded } from '../components/Loaded';
import { CountedFrom } from './CountedFrom';
import { LatencyPercentiles } from './LatencyPercentiles';
import { type TrafficGroup, trafficQuery } from './queries';
import { aligned, bucketLabel, SPANS, type Span } from './series';

const SHARES = [
  { name: 'p50', color: 'teal.6' },
  { name: 'p95', color: 'orange.6' },
  { name: 'p99', color: 'red.6' },
] as const;

/** What was asked, how it ended, what it took and how long. */
export function Traffic({ project, span, starts }: { project: string; span: Span; starts: number[] }) {
  const query = useQuery(trafficQuery(project, SPANS[span].width, starts[0]!));
  return (
    <Loaded query={query} failed="The traffic could not be read">
      {(traffic) => {
        const { answered, failed, cancelled } = traffic.total;
        if (answered + failed + cancelled === 0) return <NoTraffic project={project} />;
        const names = starts.map((start) => bucketLabel(start, span));
        const groups = aligned(starts, traffic.data);
        const sums = (of: (group: TrafficGroup) => number) => groups.map((group) => (group ? of(group) : 0));
        const percentiles = (of: 'time_to_first_token_ms' | 'latency_ms') =>
          SHARES.map(({ name, color }) => ({
            name,
            color,
            values: groups.map((group) => group?.[of]?.[name] ?? null),
          }));
        return (
          <Stack gap="md" style={{ opacity: query.isPlaceholderData ? 0.6 : 1 }}>
            <CountedFrom moment={traffic.searched_to} />
            <SimpleGrid cols={{ base: 1, lg: 2 }}>
              <ChartCard
                title="Answers"
                note={`${count(answered)} answered`}
                kind="bar"
                names={names}
                series={[{ name: 'Answered', color: 'indigo.6', values: sums((group) => group.answered) }]}
              />
              <ChartCard
                title="Errors"
                note={`${count(failed)} failed or were cut off, ${count(cancelled)} cancelled by who asked`}
                kind="bar"
                names={names}
                series={[
                  { name: 'Failed', color: 'red.6', values: sums((group) => group.failed) },
                  { name: 'Cancelled', color: 'gray.6', values: sums((group) => group.cancelled) },
                ]}
              />
              <ChartCard
                title="Time to the first token"
                kind="line"
                names={names}
                format={duration}
                series={percentiles('time_to_first_token_ms')}
              />
              <ChartCard
                title="Total time"
                kind="line"
                names={names}
                format={duration}
                series={percentiles('latency_ms')}
              />
              <ChartCard
                wide
                title="Tokens"
                kind="bar"
                names={names}
                series={[
                  {
                    name: 'Prompt, computed',
                    color: 'indigo.6',
                    values: sums((group) => group.prompt_tokens - group.cached_tokens),
                  },
                  { name: 'Prompt, cached', color: 'teal.6', values: sums((group) => group.cached_tokens) },
                  { name: 'Completion', color: 'orange.6', values: sums((group) => group.completion_tokens) },
                ]}
              />
            </SimpleGrid>
            <LatencyPercentiles traffic={traffic} />
          </Stack>
        );
      }}
    </Loaded>
  );
}

function NoTraffic({ project }: { project: string }) {
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
