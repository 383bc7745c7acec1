import { Button, Checkbox, Group, Modal, Stack, TextInput } from '@mantine/core';
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { api, body } from '../api/client';
import { rolesQuery } from '../api/queries';
import { ErrorNotice } from '../components/ErrorNotice';
import { fieldError, otherError } from '../components/fieldError';
import { permissionsQuery, type Role } from './queries';

/** Choose what a role permits. Without a role, a new one. */
export function RoleDialog({ role, onClose }: { role?: Role; onClose: () => void }) {
  const client = useQueryClient();
  const { data: permissions = [] } = useQuery(permissionsQuery);
  const [key, setKey] = useState('');
  const [chosen, setChosen] = useState(role?.permissions ?? ['project:read']);
  const save = useMutation({
    mutationFn: () =>
      role
        ? body(
            api.PATCH('/api/v1/roles/{role}', {
              params: { path: { role: role.key } },
              body: { permissions: chosen },
            }),
          )
        : body(api.POST('/api/v1/roles', { body: { key: key.trim(), permissions: chosen } })),
    onSuccess: async () => {
      await client.invalidateQueries({ queryKey: rolesQuery.queryKey });
      onClose();
    },
  });
  const rest = otherError(save.error, 'key');
  return (
    <Modal opened onClose={onClose} title={role ? `Edit ${role.name}` : 'Create role'} size="lg">
      <form
        onSubmit={(event) => {
          event.preventDefault();
          save.mutate();
        }}
      >
        <Stack>
          {!role && (
            <TextInput
              label="Key"
              placeholder="reviewer"
              required
              data-autofocus
              value={key}
              onChange={(event) => setKey(event.currentTarget.value)}
              error={fieldError(save.error, 'key')}
            />
          )}
          <Checkbox.Group
            label="Permissions"
            description="Without project:read a project cannot be seen, whatever else is permitted"
            value={chosen}
            onChange={setChosen}
          >
            <Stack gap="xs" mt="xs">
              {permissions.map((permission) => (
                <Checkbox
                  key={permission.key}
                  value={permission.key}
                  label={permission.key}
                  description={permission.description}
                />
              ))}
            </Stack>
          </Checkbox.Group>
          {rest && <ErrorNotice error={rest} />}
          <Group justify="flex-end">
            <Button variant="default" onClick={onClose}>
              Cancel
            </Button>
            <Button type="submit" loading={save.isPending} disabled={!role && !key.trim()}>
              Save
            </Button>
          </Group>
        </Stack>
      </form>
    </Modal>
  );
}
