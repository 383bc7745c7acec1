import { Button, Group, Paper, Select, Stack, Text } from '@mantine/core';
import { useMutation, useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { api, body } from '../api/client';
import { gradersQuery } from '../api/queries';
import { ErrorNotice } from '../components/ErrorNotice';
import { Unread } from '../components/Unread';
import { useMay } from '../shell/useProject';
import type { Interaction } from './queries';

const VERDICTS: Record<string, string> = { PASS: 'Pass', FAIL: 'Fail', NA: 'Not applicable' };

/** What a grader would say of an answer. Nothing is stored. */
export function GraderTry({ project, interaction }: { project: string; interaction: Interaction }) {
  const mayManage = useMay('grader:manage');
  const graders = useQuery({ ...gradersQuery(project), enabled: mayManage });
  const [key, setKey] = useState<string | null>(null);
  const judge = useMutation({
    mutationFn: (grader: string) =>
      body(
        api.POST('/api/v1/graders/{key}/try', {
          params: { path: { key: grader }, query: { project } },
          body: { completion_id: interaction.completion_id },
        }),
      ),
  });
  if (!graders.data?.length) return <Unread queries={{ Graders: graders }} />;
  return (
    <Stack gap="xs">
      <Group align="flex-end" gap="xs">
        <Select
          size="xs"
          label="Try a grader"
          description="Its judgement is shown and not stored"
          placeholder="Choose one"
          data={graders.data.map((found) => ({ value: found.key, label: found.name }))}
          value={key}
          onChange={(next) => {
            setKey(next);
            judge.reset();
          }}
        />
        <Button
          size="xs"
          variant="default"
          disabled={!key}
          loading={judge.isPending}
          onClick={() => judge.mutate(key!)}
        >
          Judge
        </Button>
      </Group>
      {judge.error && <ErrorNotice error={judge.error} title="It could not be judged" />}
      {judge.data && (
        <Paper withBorder p="xs" role="status">
          <Text size="sm" fw={600}>
            {VERDICTS[judge.data.verdict] ?? judge.data.verdict}
          </Text>
          <Text size="sm" style={{ whiteSpace: 'pre-wrap', overflowWrap: 'anywhere' }}>
            {judge.data.reasoning}
          </Text>
        </Paper>
      )}
    </Stack>
  );
}
