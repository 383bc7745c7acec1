import { Badge, Button, Group, Stack, Text } from '@mantine/core';
import { useMutation, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { api, body } from '../api/client';
import { LabelsInput } from '../chat/LabelsInput';
import { ErrorNotice } from '../components/ErrorNotice';
import { tell } from '../components/tell';
import { useMay } from '../shell/useProject';
import { type Interaction, interactionQuery } from './queries';

/** The labels of an interaction, to be changed by who may. */
export function InteractionLabels({ project, interaction }: { project: string; interaction: Interaction }) {
  const client = useQueryClient();
  const mayUpdate = useMay('interaction:update');
  const [labels, setLabels] = useState(interaction.labels);
  const save = useMutation({
    mutationFn: () =>
      body(
        api.PATCH('/api/v1/interactions/{completion_id}', {
          params: { path: { completion_id: interaction.completion_id }, query: { project } },
          body: { set: labels },
        }),
      ),
    onSuccess: async (changed) => {
      client.setQueryData(interactionQuery(project, changed.completion_id).queryKey, changed);
      setLabels(changed.labels);
      await client.invalidateQueries({ queryKey: ['interactions', project] });
      tell('The labels are saved');
    },
  });
  if (!mayUpdate) {
    const pairs = Object.entries(interaction.labels);
    return (
      <Group gap="xs">
        {pairs.length === 0 && <Text c="dimmed">No labels</Text>}
        {pairs.map(([key, value]) => (
          <Badge key={key} variant="default" tt="none" maw={320}>
            {key}={value}
          </Badge>
        ))}
      </Group>
    );
  }
  const changed = JSON.stringify(labels) !== JSON.stringify(interaction.labels);
  return (
    <Stack gap="xs">
      <LabelsInput value={labels} onChange={(next) => setLabels(next ?? {})} />
      {save.error && <ErrorNotice error={save.error} title="The labels were not saved" />}
      <Group justify="flex-end">
        <Button size="xs" disabled={!changed} loading={save.isPending} onClick={() => save.mutate()}>
          Save labels
        </Button>
      </Group>
    </Stack>
  );
}
