import { ActionIcon, Button, Group, Stack, Table, TextInput } from '@mantine/core';
import { IconTrash } from '@tabler/icons-react';
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { api, body } from '../api/client';
import { teamsQuery } from '../api/queries';
import { ConfirmDialog } from '../components/ConfirmDialog';
import { Form } from '../components/Form';
import { fieldError } from '../components/fieldError';
import { onDay } from '../components/format';
import { Loaded } from '../components/Loaded';
import { DataTable } from '../components/Page';
import { useMayOnServer } from '../shell/useMayOnServer';

/** Teams of the server: users have roles in them, and projects are shared with them. */
export function TeamsTab() {
  const client = useQueryClient();
  const mayManage = useMayOnServer('admin:manage_teams');
  const query = useQuery(teamsQuery);
  const [key, setKey] = useState('');
  const [name, setName] = useState('');
  const [deleting, setDeleting] = useState<string | null>(null);
  const changed = () => client.invalidateQueries({ queryKey: teamsQuery.queryKey });
  const create = useMutation({
    mutationFn: () =>
      body(
        api.POST('/api/v1/teams', {
          body: { key: key.trim(), ...(name.trim() ? { name: name.trim() } : {}) },
        }),
      ),
    onSuccess: async () => {
      setKey('');
      setName('');
      await changed();
    },
  });
  return (
    <Stack maw={760}>
      <Loaded query={query} failed="Teams could not be read">
        {(teams) => (
          <DataTable label="Teams" head={['Team', 'Key', 'Created', '']}>
            {teams.map((team) => (
              <Table.Tr key={team.id}>
                <Table.Td>{team.name}</Table.Td>
                <Table.Td>
                  <code>{team.key}</code>
                </Table.Td>
                <Table.Td>{onDay(team.created_at)}</Table.Td>
                <Table.Td>
                  {mayManage && (
                    <ActionIcon
                      variant="subtle"
                      color="red"
                      aria-label={`Delete ${team.key}`}
                      onClick={() => setDeleting(team.key)}
                    >
                      <IconTrash size={16} />
                    </ActionIcon>
                  )}
                </Table.Td>
              </Table.Tr>
            ))}
          </DataTable>
        )}
      </Loaded>
      {mayManage && (
        <Form sending={create} fields={['key', 'name']} buttons={null}>
          <Group align="flex-start">
            <TextInput
              size="xs"
              label="Key of a new team"
              placeholder="research"
              required
              value={key}
              onChange={(event) => setKey(event.currentTarget.value)}
              error={fieldError(create.error, 'key')}
            />
            <TextInput
              size="xs"
              label="Name"
              placeholder="Research"
              value={name}
              onChange={(event) => setName(event.currentTarget.value)}
              error={fieldError(create.error, 'name')}
            />
            <Button mt={{ base: 0, xs: 25 }} size="xs" type="submit" loading={create.isPending}>
              Create team
            </Button>
          </Group>
        </Form>
      )}
      <ConfirmDialog
        title={`Delete team ${deleting ?? ''}`}
        confirm="Delete"
        opened={deleting !== null}
        onClose={() => setDeleting(null)}
        onConfirm={async () => {
          await api.DELETE('/api/v1/teams/{team}', { params: { path: { team: deleting! } } });
          await changed();
        }}
      >
        Its members lose what they may do through it, and projects are shared with it no more. This cannot be
        undone.
      </ConfirmDialog>
    </Stack>
  );
}
