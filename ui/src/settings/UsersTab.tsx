import { ActionIcon, Badge, Button, Group, Stack, Table, Text } from '@mantine/core';
import { useDisclosure } from '@mantine/hooks';
import { IconKey, IconPlus, IconTrash, IconUsers } from '@tabler/icons-react';
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { api } from '../api/client';
import { ConfirmDialog } from '../components/ConfirmDialog';
import { EmptyState } from '../components/EmptyState';
import { onDay } from '../components/format';
import { Loaded } from '../components/Loaded';
import { DataTable } from '../components/Page';
import { UserKeyDialog } from '../shell/UserKeyDialog';
import { useAsked } from '../shell/useAsked';
import { useMayOnServer } from '../shell/useMayOnServer';
import { MembershipsDialog } from './MembershipsDialog';
import { type User, usersQuery } from './queries';
import { UserDialog } from './UserDialog';

/** People and service accounts of the server, and their roles in teams. */
export function UsersTab() {
  const client = useQueryClient();
  const mayPlace = useMayOnServer('admin:manage_teams');
  const query = useQuery(usersQuery);
  const [creating, dialog] = useDisclosure(false);
  useAsked('Create user', dialog.open);
  const [deleting, setDeleting] = useState<User | null>(null);
  const [keyed, setKeyed] = useState<User | null>(null);
  const [placing, setPlacing] = useState<string | null>(null);
  return (
    <Stack>
      <Group justify="flex-end">
        <Button size="xs" leftSection={<IconPlus size={15} />} onClick={dialog.open}>
          Create user
        </Button>
      </Group>
      <Loaded query={query} failed="Users could not be read">
        {(users) => (
          <>
            {users.length === 0 ? (
              <EmptyState icon={IconUsers} title="No users yet">
                Keys with a role need none. Users are for people: what they do is recorded under their names,
                and teams say what they may.
              </EmptyState>
            ) : (
              <DataTable label="Users" head={['User', 'Kind', 'Teams', 'Created', '']}>
                {users.map((user) => (
                  <Table.Tr key={user.id}>
                    <Table.Td>
                      <Text size="sm" fw={500}>
                        {user.name}
                      </Text>
                      <Text size="xs" c="dimmed">
                        {user.email}
                      </Text>
                    </Table.Td>
                    <Table.Td>{user.user_type === 'HUMAN' ? 'person' : 'service account'}</Table.Td>
                    <Table.Td>
                      <Group gap={4}>
                        {user.teams.map(({ team, role }) => (
                          <Badge key={team} variant="default" tt="none" size="sm">
                            {team}: {role}
                          </Badge>
                        ))}
                        {mayPlace && (
                          <Button
                            size="compact-xs"
                            variant="subtle"
                            aria-label={`Change the teams of ${user.name}`}
                            onClick={() => setPlacing(user.id)}
                          >
                            Change
                          </Button>
                        )}
                      </Group>
                    </Table.Td>
                    <Table.Td style={{ whiteSpace: 'nowrap' }}>{onDay(user.created_at)}</Table.Td>
                    <Table.Td>
                      <Group gap={2} wrap="nowrap" justify="flex-end">
                        <ActionIcon
                          variant="subtle"
                          color="gray"
                          aria-label={`New API key of ${user.name}`}
                          onClick={() => setKeyed(user)}
                        >
                          <IconKey size={16} />
                        </ActionIcon>
                        <ActionIcon
                          variant="subtle"
                          color="red"
                          aria-label={`Delete ${user.name}`}
                          onClick={() => setDeleting(user)}
                        >
                          <IconTrash size={16} />
                        </ActionIcon>
                      </Group>
                    </Table.Td>
                  </Table.Tr>
                ))}
              </DataTable>
            )}
            <MembershipsDialog
              user={users.find(({ id }) => id === placing)}
              onClose={() => setPlacing(null)}
            />
          </>
        )}
      </Loaded>
      {keyed && <UserKeyDialog user={keyed} onClose={() => setKeyed(null)} />}
      <UserDialog opened={creating} onClose={dialog.close} />
      <ConfirmDialog
        title={`Delete ${deleting?.name ?? 'user'}`}
        confirm="Delete"
        opened={deleting !== null}
        onClose={() => setDeleting(null)}
        onConfirm={async () => {
          await api.DELETE('/api/v1/users/{user}', { params: { path: { user: deleting!.id } } });
          await client.invalidateQueries({ queryKey: usersQuery.queryKey });
        }}
      >
        The keys of {deleting?.email} end within 5 seconds. Interactions stay, and keep who sent them. This
        cannot be undone.
      </ConfirmDialog>
    </Stack>
  );
}
