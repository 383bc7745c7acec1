import { Alert, Button, Group, Menu, Stack, Switch, Table, Text } from '@mantine/core';
import { useDisclosure } from '@mantine/hooks';
import { IconGavel, IconPlus } from '@tabler/icons-react';
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { api, body } from '../api/client';
import { gradersQuery } from '../api/queries';
import { CodeBlock } from '../components/CodeBlock';
import { ConfirmDialog } from '../components/ConfirmDialog';
import { EmptyState } from '../components/EmptyState';
import { count } from '../components/format';
import { Loaded } from '../components/Loaded';
import { DataTable } from '../components/Page';
import { tell, tellError } from '../components/tell';
import { useAsked } from '../shell/useAsked';
import { useMay } from '../shell/useProject';
import { GraderDialog } from './GraderDialog';
import { GraderRunDialog } from './GraderRunDialog';
import type { Grader } from './queries';

/** The judges of the project: what they look for, and how far they are. */
export function GradersTab({ project }: { project: string }) {
  const mayManage = useMay('grader:manage');
  const query = useQuery(gradersQuery(project));
  const [creating, dialog] = useDisclosure(false);
  useAsked('Create grader', dialog.open);
  return (
    <Stack>
      {mayManage && (
        <Group justify="flex-end">
          <Button size="xs" leftSection={<IconPlus size={15} />} onClick={dialog.open}>
            Create grader
          </Button>
        </Group>
      )}
      <Loaded query={query} failed="Graders could not be read">
        {(graders) =>
          graders.length === 0 ? (
            <EmptyState icon={IconGavel} title="No grader yet">
              <p>A grader is a model that scores answers by criteria in your words, in the background:</p>
              <div style={{ textAlign: 'left' }}>
                <CodeBlock
                  code={`adaptive graders create polite --project ${project} \\\n  --criteria "The answer is polite." --model MODEL`}
                  label="Shell"
                />
              </div>
            </EmptyState>
          ) : (
            <Graders project={project} graders={graders} />
          )
        }
      </Loaded>
      {creating && <GraderDialog project={project} onClose={dialog.close} />}
    </Stack>
  );
}

function Graders({ project, graders }: { project: string; graders: Grader[] }) {
  return (
    <>
      {graders
        .filter(({ progress }) => progress.problem)
        .map((grader) => (
          <Alert key={grader.id} color="yellow" title={grader.name} role="note">
            {grader.progress.problem}
          </Alert>
        ))}
      <DataTable
        label="Graders"
        head={['Grader', 'Judge', 'Share', 'Judged', 'Waiting', 'Failed', 'Enabled', '']}
      >
        {graders.map((grader) => (
          <GraderRow key={grader.id} project={project} grader={grader} />
        ))}
      </DataTable>
    </>
  );
}

function GraderRow({ project, grader }: { project: string; grader: Grader }) {
  const client = useQueryClient();
  const mayManage = useMay('grader:manage');
  const [asking, setAsking] = useState<'edit' | 'run' | 'delete' | null>(null);
  const close = () => setAsking(null);
  const [enabled, setEnabled] = useState(grader.enabled);
  const changed = () => client.invalidateQueries({ queryKey: gradersQuery(project).queryKey });
  const params = { path: { key: grader.key }, query: { project } };
  const enable = useMutation({
    mutationFn: (wanted: boolean) =>
      body(api.PATCH('/api/v1/graders/{key}', { params, body: { enabled: wanted } })),
    onMutate: setEnabled,
    onError: (error) => {
      setEnabled(grader.enabled);
      tellError(error, `${grader.name} was not changed`);
    },
    onSettled: changed,
  });
  const drop = useMutation({
    mutationFn: () => body(api.POST('/api/v1/graders/{key}/cancel', { params })),
    onSuccess: ({ dropped }) => tell(`${dropped} judgements are dropped`),
    onError: (error) => tellError(error, `${grader.name} was not stopped`),
    onSettled: changed,
  });
  const { progress } = grader;
  return (
    <Table.Tr>
      <Table.Td>
        <Text size="sm" fw={500}>
          {grader.name}
        </Text>
        <Text size="xs" c="dimmed" lineClamp={2}>
          {grader.criteria}
        </Text>
      </Table.Td>
      <Table.Td>{grader.model}</Table.Td>
      <Table.Td>{Math.round(grader.sampling_rate * 1000) / 10} %</Table.Td>
      <Table.Td>{count(progress.done)}</Table.Td>
      <Table.Td>{count(progress.pending + progress.running)}</Table.Td>
      <Table.Td>{count(progress.failed)}</Table.Td>
      <Table.Td>
        <Switch
          aria-label={`${grader.name} is enabled`}
          disabled={!mayManage}
          checked={enabled}
          onChange={(event) => enable.mutate(event.currentTarget.checked)}
        />
      </Table.Td>
      <Table.Td>
        {mayManage && (
          <Menu position="bottom-end" shadow="md">
            <Menu.Target>
              <Button size="compact-xs" variant="subtle" aria-label={`Actions for ${grader.name}`}>
                Actions
              </Button>
            </Menu.Target>
            <Menu.Dropdown>
              <Menu.Item onClick={() => setAsking('edit')}>Edit</Menu.Item>
              <Menu.Item onClick={() => setAsking('run')}>Judge stored interactions</Menu.Item>
              <Menu.Item disabled={progress.pending === 0} onClick={() => drop.mutate()}>
                Drop what is waiting
              </Menu.Item>
              <Menu.Item color="red" onClick={() => setAsking('delete')}>
                Delete
              </Menu.Item>
            </Menu.Dropdown>
          </Menu>
        )}
        {asking === 'edit' && <GraderDialog project={project} grader={grader} onClose={close} />}
        {asking === 'run' && <GraderRunDialog project={project} grader={grader} onClose={close} />}
        <ConfirmDialog
          title={`Delete ${grader.name}`}
          confirm="Delete"
          opened={asking === 'delete'}
          onClose={close}
          onConfirm={async () => {
            await api.DELETE('/api/v1/graders/{key}', { params });
            await changed();
          }}
        >
          It judges nothing any more. Scores that it gave stay. This cannot be undone.
        </ConfirmDialog>
      </Table.Td>
    </Table.Tr>
  );
}
