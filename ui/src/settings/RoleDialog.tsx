import { Checkbox, Modal, Stack, TextInput } from '@mantine/core';
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { api, body } from '../api/client';
import { rolesQuery } from '../api/queries';
import { DialogForm } from '../components/Form';
import { fieldError } from '../components/fieldError';
import { Unread } from '../components/Unread';
import { permissionsQuery, type Role } from './queries';

/** Choose what a role permits. Without a role, a new one. */
export function RoleDialog({ role, onClose }: { role?: Role; onClose: () => void }) {
  const client = useQueryClient();
  const permissions = useQuery(permissionsQuery);
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
  return (
    <Modal opened onClose={onClose} title={role ? `Edit ${role.name}` : 'Create role'} size="lg">
      <DialogForm sending={save} fields={['key', 'permissions']} confirm="Save" onCancel={onClose}>
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
          error={fieldError(save.error, 'permissions')}
        >
          <Stack gap="xs" mt="xs">
            <Unread queries={{ Permissions: permissions }} />
            {permissions.data?.map((permission) => (
              <Checkbox
                key={permission.key}
                value={permission.key}
                label={permission.key}
                description={permission.description}
              />
            ))}
          </Stack>
        </Checkbox.Group>
      </DialogForm>
    </Modal>
  );
}
