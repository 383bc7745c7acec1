import { Badge, Button, Group, NumberInput, Paper, Select, Stack, Text, TextInput } from '@mantine/core';
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { api, body } from '../api/client';
import { metricsQuery } from '../api/queries';
import { ErrorNotice } from '../components/ErrorNotice';
import { figure, when } from '../components/format';
import { useMay } from '../shell/useProject';
import { type Interaction, interactionQuery } from './queries';

/** What people and graders thought of an answer, and one more opinion. */
export function InteractionScores({ project, interaction }: { project: string; interaction: Interaction }) {
  const mayScore = useMay('score:create');
  return (
    <Stack gap="xs">
      {interaction.scores.length === 0 && (
        <Text size="sm" c="dimmed">
          Nobody has scored this answer yet.
        </Text>
      )}
      {interaction.scores.map((score) => (
        <Paper key={score.id} withBorder p="xs">
          <Group gap="xs">
            <Text size="sm" fw={600} style={{ overflowWrap: 'anywhere' }}>
              {score.metric}: {figure(score.value)}
            </Text>
            <Badge size="sm" variant="dot" tt="none">
              {score.source}
            </Badge>
            <Text size="xs" c="dimmed">
              {when(score.created_at)}
            </Text>
          </Group>
          {score.reason && <Text size="sm">{score.reason}</Text>}
          {score.details && (
            <Text size="sm" style={{ whiteSpace: 'pre-wrap', overflowWrap: 'anywhere' }}>
              {score.details}
            </Text>
          )}
        </Paper>
      ))}
      {mayScore && <ScoreForm project={project} interaction={interaction} />}
    </Stack>
  );
}

function ScoreForm({ project, interaction }: { project: string; interaction: Interaction }) {
  const client = useQueryClient();
  const { data: metrics = [] } = useQuery(metricsQuery(project));
  const own = metrics.filter((metric) => metric.category === 'USER');
  const [key, setKey] = useState<string | null>(null);
  const [value, setValue] = useState<number | string>('');
  const [details, setDetails] = useState('');
  const metric = own.find((found) => found.key === key);
  const add = useMutation({
    mutationFn: () =>
      body(
        api.POST('/api/v1/feedback', {
          body: {
            completion_id: interaction.completion_id,
            metric: key!,
            value: Number(value),
            ...(details.trim() ? { details: details.trim() } : {}),
          },
        }),
      ),
    onSuccess: async () => {
      setValue('');
      setDetails('');
      await client.invalidateQueries({
        queryKey: interactionQuery(project, interaction.completion_id).queryKey,
      });
    },
  });
  if (own.length === 0) {
    return (
      <Text size="sm" c="dimmed">
        Scores belong to metrics, and this project has none that people give. Create one on the page Metrics.
      </Text>
    );
  }
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        add.mutate();
      }}
    >
      <Stack gap="xs">
        <Group align="flex-end" gap="xs">
          <Select
            size="xs"
            label="Metric"
            placeholder="Choose one"
            data={own.map((found) => ({ value: found.key, label: found.name }))}
            value={key}
            onChange={(next) => {
              setKey(next);
              setValue('');
            }}
          />
          {metric?.kind === 'BOOL' ? (
            <Select
              size="xs"
              label="Value"
              data={[
                { value: '1', label: 'Yes' },
                { value: '0', label: 'No' },
              ]}
              value={String(value) || null}
              onChange={(next) => setValue(next ?? '')}
            />
          ) : (
            <NumberInput
              size="xs"
              label="Value"
              suffix={metric?.unit ? ` ${metric.unit}` : undefined}
              value={value}
              onChange={setValue}
            />
          )}
          <TextInput
            size="xs"
            label="Why"
            flex={1}
            miw={140}
            maxLength={10_000}
            value={details}
            onChange={(event) => setDetails(event.currentTarget.value)}
          />
          <Button size="xs" type="submit" disabled={!key || value === ''} loading={add.isPending}>
            Add score
          </Button>
        </Group>
        {add.error && <ErrorNotice error={add.error} title="The score was not stored" />}
      </Stack>
    </form>
  );
}
