import { Badge, Group, Paper, Stack, Text } from '@mantine/core';
import { useQueryClient } from '@tanstack/react-query';
import { api, body } from '../api/client';
import { figure, when } from '../components/format';
import { useMay } from '../shell/useProject';
import { type Interaction, interactionQuery } from './queries';
import { ScoreForm } from './ScoreForm';

/** What people and graders thought of an answer, and one more opinion. */
export function InteractionScores({ project, interaction }: { project: string; interaction: Interaction }) {
  const client = useQueryClient();
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
      {mayScore && (
        <ScoreForm
          project={project}
          confirm="Add score"
          withReason
          onScore={async ({ details, ...score }) => {
            const { completion_id } = interaction;
            const words = details ? { details } : {};
            await body(api.POST('/api/v1/feedback', { body: { completion_id, ...score, ...words } }));
            await client.invalidateQueries({ queryKey: interactionQuery(project, completion_id).queryKey });
          }}
        />
      )}
    </Stack>
  );
}
