import { Modal, Select, TextInput } from '@mantine/core';
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { useNavigate } from '@tanstack/react-router';
import { useState } from 'react';
import { api, body } from '../api/client';
import { meQuery, projectsQuery, teamsQuery } from '../api/queries';
import { DialogForm } from '../components/Form';
import { fieldError } from '../components/fieldError';
import { LongTextField } from '../components/LongTextField';
import { Unread } from '../components/Unread';
import { useMe } from './useProject';

const EMPTY = { name: '', key: '', description: '' };

/** A project of one's own: its name is enough. */
export function NewProjectDialog({ onClose }: { onClose: () => void }) {
  const client = useQueryClient();
  const navigate = useNavigate();
  const me = useMe();
  const teams = useQuery(teamsQuery);
  const [draft, setDraft] = useState(EMPTY);
  const [team, setTeam] = useState<string | null>(null);
  // Users make projects for teams of theirs, and a key without a user for all.
  const own = me.user?.teams.map((place) => place.team);
  const choices = (teams.data ?? []).filter(({ key }) => !own || own.includes('admin') || own.includes(key));
  const owner = team ?? choices.find(({ key }) => key === 'default')?.key ?? choices[0]?.key ?? null;
  const create = useMutation({
    mutationFn: () =>
      body(
        api.POST('/api/v1/projects', {
          body: {
            name: draft.name.trim(),
            ...(draft.key.trim() ? { key: draft.key.trim() } : {}),
            ...(draft.description.trim() ? { description: draft.description.trim() } : {}),
            ...(owner ? { team: owner } : {}),
          },
        }),
      ),
    onSuccess: async ({ key }) => {
      // What may be done in it is known before it is opened: else it would look like a foreign one.
      await client.refetchQueries({ queryKey: meQuery.queryKey });
      await client.invalidateQueries({ queryKey: projectsQuery.queryKey });
      onClose();
      await navigate({ to: '/projects/$project/models', params: { project: key } });
    },
  });
  const set = (change: Partial<typeof EMPTY>) => setDraft({ ...draft, ...change });
  const wrong = (name: string) => fieldError(create.error, name);
  return (
    <Modal opened onClose={onClose} title="Create project">
      <DialogForm
        sending={create}
        fields={[...Object.keys(EMPTY), 'team']}
        confirm="Create"
        onCancel={onClose}
      >
        <TextInput
          label="Name"
          placeholder="Customer support"
          required
          data-autofocus
          value={draft.name}
          onChange={(event) => set({ name: event.currentTarget.value })}
          error={wrong('name')}
        />
        <TextInput
          label="Key"
          description="What requests name; it cannot change. Made from the name where none is given"
          placeholder="customer-support"
          value={draft.key}
          onChange={(event) => set({ key: event.currentTarget.value })}
          error={wrong('key')}
        />
        <LongTextField
          label="Description"
          value={draft.description}
          onChange={(description) => set({ description })}
          error={wrong('description')}
        />
        <Unread queries={{ Teams: teams }} />
        {choices.length > 1 && (
          <Select
            label="Team"
            description="It owns the project: its members may do there what their role permits"
            allowDeselect={false}
            searchable
            data={choices.map((found) => ({ value: found.key, label: found.name }))}
            value={owner}
            onChange={setTeam}
            error={wrong('team')}
          />
        )}
      </DialogForm>
    </Modal>
  );
}
