import { Modal, Select, SimpleGrid, TextInput } from '@mantine/core';
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { api, body } from '../api/client';
import { modelsQuery } from '../api/queries';
import { LabelsInput } from '../chat/LabelsInput';
import { DialogForm } from '../components/Form';
import { fieldError } from '../components/fieldError';
import { LongTextField } from '../components/LongTextField';
import { tell } from '../components/tell';
import { Unread } from '../components/Unread';

interface LogDialogProps {
  project: string;
  onClose: () => void;
  /** With the id of the completion. */
  onLogged: (id: string) => void;
}

const FIELDS = ['messages', 'completion', 'model_service', 'user', 'session_id', 'labels', 'created_at'];
const EMPTY = { system: '', prompt: '', completion: '', user: '', session: '', at: '' };

/** An answer that was given elsewhere, as programs log it. */
export function LogDialog({ project, onClose, onLogged }: LogDialogProps) {
  const client = useQueryClient();
  const models = useQuery(modelsQuery(project));
  const [draft, setDraft] = useState(EMPTY);
  const [model, setModel] = useState<string | null>(null);
  const [labels, setLabels] = useState<Record<string, string>>({});
  const set = (change: Partial<typeof EMPTY>) => setDraft({ ...draft, ...change });
  const log = useMutation({
    mutationFn: () =>
      body(
        api.POST('/api/v1/interactions', {
          body: {
            project,
            messages: [
              ...(draft.system.trim() ? [{ role: 'system' as const, content: draft.system }] : []),
              { role: 'user', content: draft.prompt },
            ],
            completion: draft.completion,
            labels,
            ...(model ? { model_service: model } : {}),
            ...(draft.user.trim() ? { user: draft.user.trim() } : {}),
            ...(draft.session.trim() ? { session_id: draft.session.trim() } : {}),
            ...(draft.at ? { created_at: new Date(draft.at).toISOString() } : {}),
          },
        }),
      ),
    onSuccess: async ({ completion_id }) => {
      await client.invalidateQueries({ queryKey: ['interactions', project] });
      tell('The interaction is logged');
      onLogged(completion_id);
    },
  });
  const wrong = (name: string) => fieldError(log.error, name);
  return (
    <Modal opened onClose={onClose} title="Log an interaction" size="lg">
      <DialogForm sending={log} fields={FIELDS} confirm="Log" onCancel={onClose}>
        <LongTextField
          label="System prompt"
          minRows={1}
          value={draft.system}
          onChange={(system) => set({ system })}
        />
        <LongTextField
          label="Prompt"
          required
          data-autofocus
          value={draft.prompt}
          onChange={(prompt) => set({ prompt })}
          error={wrong('messages')}
        />
        <LongTextField
          label="Answer"
          required
          minRows={3}
          value={draft.completion}
          onChange={(completion) => set({ completion })}
          error={wrong('completion')}
        />
        <SimpleGrid cols={{ base: 1, xs: 2 }}>
          <Select
            label="Model"
            description="Which gave the answer"
            placeholder="None of this project"
            clearable
            searchable
            nothingFoundMessage="The project has no such model"
            data={models.data?.map((found) => found.id.slice(project.length + 1))}
            value={model}
            onChange={setModel}
            error={wrong('model_service')}
          />
          <TextInput
            label="User"
            description="Who asked"
            value={draft.user}
            onChange={(event) => set({ user: event.currentTarget.value })}
            error={wrong('user')}
          />
          <TextInput
            label="Session id"
            description="Of the conversation; made where none is given"
            value={draft.session}
            onChange={(event) => set({ session: event.currentTarget.value })}
            error={wrong('session_id')}
          />
          <TextInput
            type="datetime-local"
            label="Answered at"
            description="Now where none is given"
            value={draft.at}
            onChange={(event) => set({ at: event.currentTarget.value })}
            error={wrong('created_at')}
          />
        </SimpleGrid>
        <Unread queries={{ Models: models }} />
        <LabelsInput value={labels} onChange={(next) => setLabels(next ?? {})} error={wrong('labels')} />
      </DialogForm>
    </Modal>
  );
}
