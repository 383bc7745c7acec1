import { Group, Stack, Text, Title } from '@mantine/core';
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { api, body } from '../api/client';
import { figure, when } from '../components/format';
import { Loaded } from '../components/Loaded';
import { useMay } from '../shell/useProject';
import { outcomesQuery } from './queries';
import { ScoreForm } from './ScoreForm';

/** How the whole conversation turned out that an answer belongs to, and one more word on it. */
export function SessionOutcomes({ project, session }: { project: string; session: string }) {
  const client = useQueryClient();
  const mayScore = useMay('score:create');
  const query = useQuery(outcomesQuery(project, session));
  return (
    <Stack gap="xs" component="section" aria-label="Outcomes of the session">
      <div>
        <Title order={3} size="h6">
          Outcomes of the session
        </Title>
        <Text size="xs" c="dimmed">
          What became of the whole conversation, all of its answers together
        </Text>
      </div>
      <Loaded query={query} failed="The outcomes could not be read">
        {(outcomes) =>
          outcomes.map((outcome) => (
            <Group key={outcome.id} gap="xs">
              <Text size="sm" fw={600} style={{ overflowWrap: 'anywhere' }}>
                {outcome.metric}: {figure(outcome.value)}
              </Text>
              <Text size="xs" c="dimmed">
                {[when(outcome.created_at), outcome.user].filter(Boolean).join(', ')}
              </Text>
            </Group>
          ))
        }
      </Loaded>
      {mayScore && (
        <ScoreForm
          project={project}
          confirm="Add outcome"
          onScore={async ({ metric, value }) => {
            const outcome = { project_id: project, session_id: session, metric, value };
            await body(api.POST('/api/v1/outcome', { body: outcome }));
            await client.invalidateQueries({ queryKey: outcomesQuery(project, session).queryKey });
          }}
        />
      )}
    </Stack>
  );
}
