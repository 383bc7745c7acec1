import { Modal, Select, TextInput } from '@mantine/core';
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { api, body } from '../api/client';
import { metricsQuery } from '../api/queries';
import { DialogForm } from '../components/Form';
import { fieldError } from '../components/fieldError';
import { LongTextField } from '../components/LongTextField';
import type { Metric } from './queries';

interface MetricDialogProps {
  project: string;
  /** Absent: a new one. */
  metric?: Metric;
  opened: boolean;
  onClose: () => void;
}

const EMPTY = {
  key: '',
  name: '',
  description: '',
  unit: '',
  kind: 'BOOL',
  scoring: 'HIGHER_IS_BETTER',
} as const;

/** What scores will mean. Kind and direction stay as they are once there are scores. */
export function MetricDialog({ project, metric, opened, onClose }: MetricDialogProps) {
  const client = useQueryClient();
  const { data: metrics = [] } = useQuery({ ...metricsQuery(project), enabled: opened });
  const [draft, setDraft] = useState<{ [Name in keyof typeof EMPTY]: string }>(
    metric
      ? { ...EMPTY, name: metric.name, description: metric.description, unit: metric.unit ?? '' }
      : EMPTY,
  );
  const save = useMutation({
    mutationFn: async () => {
      const words = { name: draft.name.trim() || null, description: draft.description };
      if (metric) {
        await api.PATCH('/api/v1/metrics/{key}', {
          params: { path: { key: metric.key }, query: { project } },
          body: { ...words, unit: draft.unit.trim() || null },
        });
      } else {
        await body(
          api.POST('/api/v1/metrics', {
            body: {
              project,
              key: draft.key.trim(),
              ...words,
              unit: draft.unit.trim() || null,
              kind: draft.kind as 'BOOL' | 'SCALAR',
              scoring_type: draft.scoring as 'HIGHER_IS_BETTER' | 'LOWER_IS_BETTER',
            },
          }),
        );
      }
      await client.invalidateQueries({ queryKey: ['metrics', project] });
    },
    onSuccess: () => close(),
  });
  const close = () => {
    onClose();
    save.reset();
    if (!metric) setDraft(EMPTY);
  };
  // Equal ones are one to the API, which would leave the words here behind.
  const isTaken =
    !metric &&
    // What the server measures itself, it refuses with better words.
    metrics.some((found) => found.category !== 'SYSTEM' && found.key === draft.key.trim());
  const field = (name: keyof typeof EMPTY) => ({
    value: draft[name],
    onChange: (event: { currentTarget: HTMLInputElement }) =>
      setDraft({ ...draft, [name]: event.currentTarget.value }),
    error: fieldError(save.error, name),
  });
  return (
    <Modal opened={opened} onClose={close} title={metric ? `Edit ${metric.name}` : 'Create metric'}>
      <DialogForm
        disabled={isTaken}
        sending={save}
        fields={['key', 'name', 'description', 'unit', 'kind', 'scoring_type']}
        confirm={metric ? 'Save' : 'Create'}
        onCancel={close}
      >
        {!metric && (
          <TextInput
            label="Key"
            description="How programs name it when they log a score"
            placeholder="helpful"
            required
            data-autofocus
            {...field('key')}
            {...(isTaken ? { error: 'The project has a metric of this key. Choose another key' } : {})}
          />
        )}
        <TextInput label="Name" placeholder="Helpful" {...field('name')} />
        <LongTextField
          label="Description"
          value={draft.description}
          onChange={(description) => setDraft({ ...draft, description })}
          error={fieldError(save.error, 'description')}
        />
        {!metric && (
          <>
            <Select
              label="Values"
              allowDeselect={false}
              data={[
                { value: 'BOOL', label: 'Yes or no' },
                { value: 'SCALAR', label: 'Numbers' },
              ]}
              value={draft.kind}
              onChange={(kind) => setDraft({ ...draft, kind: kind! })}
              error={fieldError(save.error, 'kind')}
            />
            <Select
              label="Better is"
              allowDeselect={false}
              data={[
                { value: 'HIGHER_IS_BETTER', label: 'Higher' },
                { value: 'LOWER_IS_BETTER', label: 'Lower' },
              ]}
              value={draft.scoring}
              onChange={(scoring) => setDraft({ ...draft, scoring: scoring! })}
              error={fieldError(save.error, 'scoring_type')}
            />
          </>
        )}
        <TextInput label="Unit" placeholder="EUR" {...field('unit')} />
      </DialogForm>
    </Modal>
  );
}
