import { ActionIcon, Badge, Button, Group, Stack, Table, Text } from '@mantine/core';
import { IconEdit, IconPlus, IconTrash } from '@tabler/icons-react';
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { api } from '../api/client';
import { rolesQuery } from '../api/queries';
import { ConfirmDialog } from '../components/ConfirmDialog';
import { Loaded } from '../components/Loaded';
import { DataTable } from '../components/Page';
import { useAsked } from '../shell/useAsked';
import { useMayOnServer } from '../shell/useMayOnServer';
import type { Role } from './queries';
import { RoleDialog } from './RoleDialog';

/** Named sets of permissions. Those that come with the server cannot be changed. */
export function RolesTab() {
  const client = useQueryClient();
  const mayManage = useMayOnServer('admin:manage_roles');
  const query = useQuery(rolesQuery);
  const [editing, setEditing] = useState<Role | 'new' | null>(null);
  useAsked('Create role', () => setEditing('new'));
  const [deleting, setDeleting] = useState<Role | null>(null);
  return (
    <Stack>
      {mayManage && (
        <Group justify="flex-end">
          <Button size="xs" leftSection={<IconPlus size={15} />} onClick={() => setEditing('new')}>
            Create role
          </Button>
        </Group>
      )}
      <Loaded query={query} failed="Roles could not be read">
        {(roles) => (
          <DataTable label="Roles" head={['Role', 'Permissions', '']}>
            {roles.map((role) => (
              <Table.Tr key={role.id}>
                <Table.Td>
                  <Text size="sm" fw={500}>
                    {role.name}
                  </Text>
                  <Text size="xs" c="dimmed">
                    {role.built_in ? 'comes with the server' : role.key}
                  </Text>
                </Table.Td>
                <Table.Td maw={640}>
                  <Group gap={4}>
                    {role.permissions.map((permission) => (
                      <Badge key={permission} variant="default" tt="none" size="sm">
                        {permission}
                      </Badge>
                    ))}
                  </Group>
                </Table.Td>
                <Table.Td>
                  {mayManage && !role.built_in && (
                    <Group gap={2} wrap="nowrap" justify="flex-end">
                      <ActionIcon
                        variant="subtle"
                        color="gray"
                        aria-label={`Edit ${role.key}`}
                        onClick={() => setEditing(role)}
                      >
                        <IconEdit size={16} />
                      </ActionIcon>
                      <ActionIcon
                        variant="subtle"
                        color="red"
                        aria-label={`Delete ${role.key}`}
                        onClick={() => setDeleting(role)}
                      >
                        <IconTrash size={16} />
                      </ActionIcon>
                    </Group>
                  )}
                </Table.Td>
              </Table.Tr>
            ))}
          </DataTable>
        )}
      </Loaded>
      {editing && (
        <RoleDialog role={editing === 'new' ? undefined : editing} onClose={() => setEditing(null)} />
      )}
      <ConfirmDialog
        title={`Delete role ${deleting?.key ?? ''}`}
        confirm="Delete"
        opened={deleting !== null}
        onClose={() => setDeleting(null)}
        onConfirm={async () => {
          await api.DELETE('/api/v1/roles/{role}', { params: { path: { role: deleting!.key } } });
          await client.invalidateQueries({ queryKey: rolesQuery.queryKey });
        }}
      >
        It cannot be given to anybody any more. A role that is in use is not deleted.
      </ConfirmDialog>
    </Stack>
  );
}
