import { ActionIcon, Button, Group, Popover, Stack, Text, Tooltip } from '@mantine/core';
import {
  IconGauge,
  IconThumbDown,
  IconThumbDownFilled,
  IconThumbUp,
  IconThumbUpFilled,
} from '@tabler/icons-react';
import { useMutation, useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { api, body, type Schemas } from '../api/client';
import { metricsQuery, projectsQuery, queryClient } from '../api/queries';
import { ErrorNotice } from '../components/ErrorNotice';
import { NumberField } from '../components/NumberField';
import { tellError } from '../components/tell';
import { useMay } from '../shell/useProject';
import { useChat } from './store';
import { thumbsMetric } from './thumbs';
import type { Turn } from './types';

interface ScoringProps {
  pane: string;
  turn: Turn;
  project: string;
}

/** Thumbs, and every metric of the project, for an answer that is stored. */
export function Scoring({ pane, turn, project }: ScoringProps) {
  const mayScore = useMay('score:create');
  const { data: metrics } = useQuery({ ...metricsQuery(project), enabled: mayScore });
  const { data: projects = [] } = useQuery(projectsQuery);
  const setScore = useChat((state) => state.setScore);
  const { completionId, settings, scores = {} } = turn.answer!;
  const score = useMutation({
    mutationFn: (given: { metric: string; value: number | boolean }) =>
      body(api.POST('/api/v1/feedback', { body: { completion_id: completionId!, ...given } })),
    onSuccess: (_, { metric, value }) => setScore(pane, turn.id, metric, Number(value)),
    onError: (error) => tellError(error, 'The score was not stored'),
  });
  if (!mayScore || !completionId || settings.store === false || !metrics) return null;

  const own = metrics.filter((metric) => metric.category === 'USER');
  const thumbs = thumbsMetric(
    metrics,
    projects.find((found) => found.key === project),
  );
  const rest = own.filter((metric) => metric !== thumbs);
  return (
    <>
      {thumbs ? (
        <Thumbs
          metric={thumbs}
          given={scores[thumbs.key]}
          onScore={(value) => score.mutate({ metric: thumbs.key, value })}
        />
      ) : (
        <FirstMetric project={project} />
      )}
      {rest.length > 0 && (
        <OtherMetrics
          metrics={rest}
          scores={scores}
          onScore={(metric, value) => score.mutate({ metric, value })}
        />
      )}
    </>
  );
}

function Thumbs(props: { metric: Schemas['Metric']; given?: number; onScore: (value: boolean) => void }) {
  const { metric, given, onScore } = props;
  const Up = given === 1 ? IconThumbUpFilled : IconThumbUp;
  const Down = given === 0 ? IconThumbDownFilled : IconThumbDown;
  return (
    <Group gap={0} wrap="nowrap">
      <Tooltip label={`${metric.name}: yes`}>
        <ActionIcon
          variant="subtle"
          color={given === 1 ? 'teal' : 'gray'}
          aria-label={`${metric.name}: yes`}
          aria-pressed={given === 1}
          onClick={() => onScore(true)}
        >
          <Up size={16} stroke={1.7} />
        </ActionIcon>
      </Tooltip>
      <Tooltip label={`${metric.name}: no`}>
        <ActionIcon
          variant="subtle"
          color={given === 0 ? 'red' : 'gray'}
          aria-label={`${metric.name}: no`}
          aria-pressed={given === 0}
          onClick={() => onScore(false)}
        >
          <Down size={16} stroke={1.7} />
        </ActionIcon>
      </Tooltip>
    </Group>
  );
}

/** Thumbs need a metric that they count for. */
function FirstMetric({ project }: { project: string }) {
  const mayManage = useMay('metric:manage');
  const create = useMutation({
    mutationFn: () =>
      body(api.POST('/api/v1/metrics', { body: { project, key: 'helpful', name: 'Helpful', kind: 'BOOL' } })),
    onSuccess: () => queryClient.invalidateQueries({ queryKey: ['metrics', project] }),
  });
  return (
    <Popover width={280} shadow="md" withArrow>
      <Popover.Target>
        <Tooltip label="Rate">
          <ActionIcon variant="subtle" color="gray" aria-label="Rate">
            <IconThumbUp size={16} stroke={1.7} />
          </ActionIcon>
        </Tooltip>
      </Popover.Target>
      <Popover.Dropdown>
        <Stack gap="xs">
          <Text size="sm">
            Scores belong to metrics, and this project has no yes-or-no metric yet.
            {mayManage ? '' : ' Ask somebody with the permission metric:manage to make one.'}
          </Text>
          {create.error && <ErrorNotice error={create.error} />}
          {mayManage && (
            <Button size="xs" loading={create.isPending} onClick={() => create.mutate()}>
              Create the metric “helpful”
            </Button>
          )}
        </Stack>
      </Popover.Dropdown>
    </Popover>
  );
}

interface OtherMetricsProps {
  metrics: Schemas['Metric'][];
  scores: Record<string, number>;
  onScore: (metric: string, value: number | boolean) => void;
}

function OtherMetrics({ metrics, scores, onScore }: OtherMetricsProps) {
  return (
    <Popover width={320} shadow="md" withArrow trapFocus>
      <Popover.Target>
        <Tooltip label="Score on other metrics">
          <ActionIcon variant="subtle" color="gray" aria-label="Score on other metrics">
            <IconGauge size={16} stroke={1.7} />
          </ActionIcon>
        </Tooltip>
      </Popover.Target>
      <Popover.Dropdown mah={360} style={{ overflowY: 'auto' }}>
        <Stack gap="sm">
          {metrics.map((metric) =>
            metric.kind === 'BOOL' ? (
              <Group key={metric.id} justify="space-between" wrap="nowrap">
                <Text size="sm" className="truncate">
                  {metric.name}
                </Text>
                <Thumbs
                  metric={metric}
                  given={scores[metric.key]}
                  onScore={(value) => onScore(metric.key, value)}
                />
              </Group>
            ) : (
              <Scale
                key={metric.id}
                metric={metric}
                given={scores[metric.key]}
                onScore={(value) => onScore(metric.key, value)}
              />
            ),
          )}
        </Stack>
      </Popover.Dropdown>
    </Popover>
  );
}

function Scale(props: { metric: Schemas['Metric']; given?: number; onScore: (value: number) => void }) {
  const { metric, given, onScore } = props;
  const [value, setValue] = useState(given);
  return (
    <Group align="flex-end" gap="xs" wrap="nowrap">
      <NumberField
        label={metric.name}
        description={metric.description || undefined}
        suffix={metric.unit ? ` ${metric.unit}` : undefined}
        value={value}
        onChange={setValue}
        flex={1}
        size="xs"
      />
      <Button size="xs" variant="light" disabled={value === undefined} onClick={() => onScore(value!)}>
        {given === undefined ? 'Score' : 'Score again'}
      </Button>
    </Group>
  );
}
