import { Checkbox, Modal, Select, SimpleGrid, TextInput } from '@mantine/core';
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { api, body } from '../api/client';
import { gradersQuery, metricsQuery, modelsQuery } from '../api/queries';
import { DialogForm } from '../components/Form';
import { fieldError } from '../components/fieldError';
import { LongTextField } from '../components/LongTextField';
import { NumberField } from '../components/NumberField';
import { Unread } from '../components/Unread';
import { GraderExamples } from './GraderExamples';
import { changes, creation, draftOfGrader, EMPTY, type GraderDraft } from './graderDraft';
import type { Grader } from './queries';

const FIELDS = [
  'key',
  'metric',
  'name',
  'criteria',
  'model',
  'sampling_rate',
  'scale',
  'template',
  'examples',
];

interface GraderDialogProps {
  project: string;
  /** Absent: a new one. */
  grader?: Grader;
  onClose: () => void;
}

/** What a judge looks for. Without a scale it says pass, fail or not applicable. */
export function GraderDialog({ project, grader, onClose }: GraderDialogProps) {
  const client = useQueryClient();
  const models = useQuery(modelsQuery(project));
  const [draft, setDraft] = useState(() => (grader ? draftOfGrader(grader) : EMPTY));
  const set = (change: Partial<GraderDraft>) => setDraft({ ...draft, ...change });
  const save = useMutation({
    mutationFn: () =>
      grader
        ? body(
            api.PATCH('/api/v1/graders/{key}', {
              params: { path: { key: grader.key }, query: { project } },
              body: changes(draft),
            }),
          )
        : body(api.POST('/api/v1/graders', { body: creation(project, draft) })),
    onSuccess: async () => {
      await client.invalidateQueries({ queryKey: gradersQuery(project).queryKey });
      await client.invalidateQueries({ queryKey: metricsQuery(project).queryKey });
      onClose();
    },
  });
  const wrong = (...names: string[]) => fieldError(save.error, ...names);
  const known = (models.data ?? []).map((found) => found.id.slice(project.length + 1));
  return (
    <Modal opened onClose={onClose} title={grader ? `Edit ${grader.name}` : 'Create grader'} size="lg">
      <DialogForm sending={save} fields={FIELDS} confirm={grader ? 'Save' : 'Create'} onCancel={onClose}>
        <SimpleGrid cols={{ base: 1, xs: 2 }}>
          {!grader && (
            <TextInput
              label="Key"
              placeholder="polite"
              required
              data-autofocus
              value={draft.key}
              onChange={(event) => set({ key: event.currentTarget.value })}
              error={wrong('key', 'metric')}
            />
          )}
          <TextInput
            label="Name"
            placeholder="Polite"
            required={grader !== undefined}
            value={draft.name}
            onChange={(event) => set({ name: event.currentTarget.value })}
            error={wrong('name')}
          />
        </SimpleGrid>
        <LongTextField
          label="Criteria"
          description="What a good answer is, in your words"
          placeholder="The answer is polite."
          required
          minRows={3}
          value={draft.criteria}
          onChange={(criteria) => set({ criteria })}
          error={wrong('criteria')}
        />
        <SimpleGrid cols={{ base: 1, xs: 2 }}>
          <Select
            label="Judge"
            description="The larger the model, the better it judges"
            required
            searchable
            nothingFoundMessage="The project has no such model"
            // A judge that was detached meanwhile is still what is stored.
            data={[...new Set([...known, ...(grader ? [grader.model] : [])])]}
            value={draft.model}
            onChange={(model) => set({ model })}
            error={wrong('model')}
          />
          <NumberField
            label="Share"
            required
            description="Of new interactions"
            suffix=" %"
            min={0}
            max={100}
            value={draft.share}
            onChange={(share) => set({ share })}
            error={wrong('sampling_rate')}
          />
        </SimpleGrid>
        <Unread queries={{ Models: models }} />
        {!grader && (
          <Checkbox
            label="Give a number instead of pass or fail"
            checked={draft.scaled}
            onChange={(event) => set({ scaled: event.currentTarget.checked, examples: [] })}
          />
        )}
        {draft.scaled && !grader && (
          <SimpleGrid cols={{ base: 1, xs: 2 }}>
            <NumberField
              label="Least"
              required
              value={draft.least}
              onChange={(least) => set({ least })}
              error={wrong('scale')}
            />
            <NumberField
              label="Greatest"
              required
              value={draft.greatest}
              onChange={(greatest) => set({ greatest })}
            />
          </SimpleGrid>
        )}
        <GraderExamples draft={draft} onChange={setDraft} error={wrong('examples')} />
        <LongTextField
          label="Template"
          description="Empty: the usual one. {{ completion }} has to be in it; {{ conversation }}, {{ question }} and {{ criteria }} may"
          value={draft.template}
          onChange={(template) => set({ template })}
          error={wrong('template')}
        />
      </DialogForm>
    </Modal>
  );
}
