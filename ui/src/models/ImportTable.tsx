import { Badge, Button, Progress, Stack, Table, Text, Title } from '@mantine/core';
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { useEffect } from 'react';
import { api, body } from '../api/client';
import { bytes, when } from '../components/format';
import { Loaded } from '../components/Loaded';
import { DataTable } from '../components/Page';
import { tellError } from '../components/tell';
import { importsQuery, isRunning, type ModelImport } from './queries';

/** Older ones are of interest to nobody who looks at models. */
const SHOWN = 5;

const STAGES: Record<string, string> = {
  wait: 'Waiting for another import of it',
  download: 'Downloading',
  read: 'Reading',
  copy: 'Copying',
  convert: 'Converting',
  check: 'Checking',
};

/** How far the import is that runs, and how the last ones ended; nothing where there was none. */
export function ImportTable() {
  const client = useQueryClient();
  const query = useQuery(importsQuery);
  const completed = query.data?.filter(({ state }) => state === 'COMPLETED').length;
  useEffect(() => {
    if (completed) void client.invalidateQueries({ queryKey: ['registered models'] });
  }, [client, completed]);
  if (query.data?.length === 0) return null;
  return (
    <Stack gap="sm">
      <Title order={2} size="h4">
        Imports
      </Title>
      <Loaded query={query} failed="Imports could not be read">
        {(imports) => (
          <DataTable label="Imports" head={['Model', 'From', 'State', 'Begun', '']}>
            {imports.slice(0, SHOWN).map((one) => (
              <Table.Tr key={one.id}>
                <Table.Td>{one.key}</Table.Td>
                <Table.Td>{one.name ?? one.path}</Table.Td>
                <Table.Td miw={260}>
                  <ImportState found={one} />
                </Table.Td>
                <Table.Td style={{ whiteSpace: 'nowrap' }}>{when(one.created_at)}</Table.Td>
                <Table.Td>{isRunning(one) && <CancelButton found={one} />}</Table.Td>
              </Table.Tr>
            ))}
          </DataTable>
        )}
      </Loaded>
    </Stack>
  );
}

function ImportState({ found }: { found: ModelImport }) {
  if (found.state === 'COMPLETED')
    return (
      <Badge color="teal" variant="dot">
        imported
      </Badge>
    );
  if (found.state === 'CANCELLED')
    return (
      <Badge color="gray.6" variant="dot">
        cancelled
      </Badge>
    );
  if (found.state === 'FAILED') {
    return (
      <>
        <Badge color="red" variant="dot">
          failed
        </Badge>
        <Text size="xs" mt={4}>
          {found.error?.message}
        </Text>
      </>
    );
  }
  const stage = found.stage ? (STAGES[found.stage] ?? found.stage) : 'Starting';
  const percent = found.total ? Math.round((100 * found.done) / found.total) : null;
  return (
    <>
      <Text size="xs" role="status">
        {stage}
        {found.total ? `: ${bytes(found.done)} of ${bytes(found.total)}` : ' …'}
      </Text>
      {/* Of unknown length: a bar that moves says only that something is done. */}
      <Progress.Root size="sm" mt={4}>
        <Progress.Section
          value={percent ?? 100}
          animated={percent === null}
          aria-label={`Import of ${found.key}`}
          aria-valuetext={stage}
        />
      </Progress.Root>
    </>
  );
}

function CancelButton({ found }: { found: ModelImport }) {
  const client = useQueryClient();
  const cancel = useMutation({
    mutationFn: () =>
      body(
        api.POST('/api/v1/admin/imports/{import_id}/cancel', { params: { path: { import_id: found.id } } }),
      ),
    onError: (error) => tellError(error, 'The import was not cancelled'),
    onSettled: () => client.invalidateQueries({ queryKey: importsQuery.queryKey }),
  });
  return (
    <Button size="compact-xs" variant="default" loading={cancel.isPending} onClick={() => cancel.mutate()}>
      Cancel
    </Button>
  );
}
