import { Checkbox, Modal, Select, SimpleGrid, TextInput } from '@mantine/core';
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { api, body } from '../api/client';
import { rolesQuery, teamsQuery } from '../api/queries';
import { DialogForm } from '../components/Form';
import { fieldError } from '../components/fieldError';
import { Unread } from '../components/Unread';
import { KeyShown } from '../shell/KeyShown';
import { usersQuery } from './queries';

const EMPTY = {
  name: '',
  email: '',
  kind: 'HUMAN' as 'HUMAN' | 'SYSTEM',
  team: null as string | null,
  role: 'annotator',
  key: true,
};

/** A person or a service account, in a first team, with a key that is shown once. */
export function UserDialog({ opened, onClose }: { opened: boolean; onClose: () => void }) {
  const client = useQueryClient();
  const teams = useQuery({ ...teamsQuery, enabled: opened });
  const roles = useQuery({ ...rolesQuery, enabled: opened });
  const [draft, setDraft] = useState(EMPTY);
  const set = (change: Partial<typeof EMPTY>) => setDraft({ ...draft, ...change });
  const create = useMutation({
    mutationFn: () =>
      body(
        api.POST('/api/v1/users', {
          body: {
            name: draft.name.trim(),
            ...(draft.email.trim() ? { email: draft.email.trim() } : {}),
            user_type: draft.kind,
            teams: draft.team ? [{ team: draft.team, role: draft.role }] : [],
            generate_api_key: draft.key,
          },
        }),
      ),
    onSuccess: async (user) => {
      await client.invalidateQueries({ queryKey: usersQuery.queryKey });
      if (!user.api_key) close();
    },
  });
  const close = () => {
    onClose();
    setDraft(EMPTY);
    create.reset();
  };
  const key = create.data?.api_key;
  return (
    <Modal opened={opened} onClose={close} title={key ? `The key of ${create.data?.name}` : 'Create user'}>
      {key ? (
        <KeyShown apiKey={key} advice="Hand it over safely." onDone={close} />
      ) : (
        <DialogForm sending={create} fields={['name', 'email', 'teams']} confirm="Create" onCancel={close}>
          <Select
            label="Kind"
            allowDeselect={false}
            data={[
              { value: 'HUMAN', label: 'Person' },
              { value: 'SYSTEM', label: 'Service account, for an application' },
            ]}
            value={draft.kind}
            onChange={(kind) => set({ kind: kind as 'HUMAN' | 'SYSTEM' })}
          />
          <TextInput
            label="Name"
            required
            data-autofocus
            value={draft.name}
            onChange={(event) => set({ name: event.currentTarget.value })}
            error={fieldError(create.error, 'name')}
          />
          <TextInput
            label="E-mail address"
            type="email"
            required={draft.kind === 'HUMAN'}
            description={draft.kind === 'SYSTEM' ? 'Made of the name where none is given' : undefined}
            value={draft.email}
            onChange={(event) => set({ email: event.currentTarget.value })}
            error={fieldError(create.error, 'email')}
          />
          <SimpleGrid cols={{ base: 1, xs: 2 }}>
            <Select
              label="Team"
              placeholder="None yet"
              clearable
              data={teams.data?.map((team) => ({ value: team.key, label: team.name }))}
              value={draft.team}
              onChange={(team) => set({ team })}
              error={fieldError(create.error, 'teams')}
            />
            <Select
              label="Role in it"
              allowDeselect={false}
              disabled={!draft.team}
              data={roles.data?.map((role) => ({ value: role.key, label: role.name })) ?? [draft.role]}
              value={draft.role}
              onChange={(role) => set({ role: role! })}
            />
          </SimpleGrid>
          <Unread queries={{ Teams: teams, Roles: roles }} />
          <Checkbox
            label="Generate an API key"
            checked={draft.key}
            onChange={(event) => set({ key: event.currentTarget.checked })}
          />
        </DialogForm>
      )}
    </Modal>
  );
}
