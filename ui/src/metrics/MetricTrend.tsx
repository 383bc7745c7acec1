import { Group, Select, Stack, Table, Text, Title } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { metricsQuery } from '../api/queries';
import { ChartCard } from '../components/ChartCard';
import { count, figure, inUnit } from '../components/format';
import { Loaded } from '../components/Loaded';
import { DataTable } from '../components/Page';
import { CountedFrom } from './CountedFrom';
import { type Metric, statisticsQuery } from './queries';
import { bucketLabel, NO_MODEL, SPANS, type Span, trends } from './series';

const COLORS = ['indigo.6', 'teal.6', 'orange.6', 'grape.6', 'cyan.6', 'pink.6', 'lime.7'];

/** How one metric went over the time, and how the models compare on it. */
export function MetricTrend({ project, span, starts }: { project: string; span: Span; starts: number[] }) {
  const { data: metrics = [] } = useQuery(metricsQuery(project));
  const [wanted, setWanted] = useState<string | null>(null);
  const metric = metrics.find((found) => found.key === wanted) ?? metrics[0];
  if (!metric) return null;
  return (
    <Stack gap="sm">
      <Group justify="space-between">
        <Title order={2} size="h4">
          By metric
        </Title>
        <Select
          size="xs"
          w={260}
          aria-label="Metric"
          allowDeselect={false}
          searchable
          data={metrics.map((found) => ({ value: found.key, label: found.name }))}
          value={metric.key}
          onChange={setWanted}
        />
      </Group>
      <Trend key={metric.key} project={project} metric={metric} span={span} starts={starts} />
    </Stack>
  );
}

function Trend(props: { project: string; metric: Metric; span: Span; starts: number[] }) {
  const { project, metric, span, starts } = props;
  const from = starts[0]!;
  const trend = useQuery(statisticsQuery(project, metric.key, SPANS[span].width, from));
  const models = useQuery(statisticsQuery(project, metric.key, 'model', from));
  const lower = metric.scoring_type === 'LOWER_IS_BETTER';
  return (
    <Stack gap="sm">
      <Loaded query={trend} failed="The trend could not be read">
        {({ data, searched_to }) => (
          <>
            <CountedFrom moment={searched_to} />
            {data.length === 0 ? (
              <Text size="sm" c="dimmed">
                Nothing was given a value of {metric.name} in this time.
              </Text>
            ) : (
              <ChartCard
                title={`${metric.name}, mean`}
                note={`${lower ? 'Lower' : 'Higher'} is better. ${metric.description}`}
                kind="line"
                names={starts.map((start) => bucketLabel(start, span))}
                format={(value) => inUnit(value, metric.unit)}
                series={trends(starts, data).map((line, index) => ({ ...line, color: COLORS[index]! }))}
              />
            )}
          </>
        )}
      </Loaded>
      <Loaded query={models} failed="The models could not be compared">
        {({ data }) =>
          data.length > 0 && (
            <DataTable
              label={`${metric.name} by model`}
              head={['Model', 'Mean', 'Least', 'Greatest', 'Deviation', 'Values']}
            >
              {data.map((group) => (
                <Table.Tr key={group.group ?? ''}>
                  <Table.Td>{group.group ?? NO_MODEL}</Table.Td>
                  <Table.Td fw={600}>{inUnit(group.mean, metric.unit)}</Table.Td>
                  <Table.Td>{inUnit(group.min, metric.unit)}</Table.Td>
                  <Table.Td>{inUnit(group.max, metric.unit)}</Table.Td>
                  <Table.Td>{figure(group.stddev)}</Table.Td>
                  <Table.Td>{count(group.count)}</Table.Td>
                </Table.Tr>
              ))}
            </DataTable>
          )
        }
      </Loaded>
    </Stack>
  );
}
