import { Checkbox, Modal, MultiSelect, Text } from '@mantine/core';
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { api, body } from '../api/client';
import { gradersQuery, modelsQuery } from '../api/queries';
import { DialogForm } from '../components/Form';
import { fieldError } from '../components/fieldError';
import { count } from '../components/format';
import { NumberField } from '../components/NumberField';
import { tell } from '../components/tell';
import { Unread } from '../components/Unread';
import type { Grader } from './queries';

interface GraderRunDialogProps {
  project: string;
  grader: Grader;
  onClose: () => void;
}

/** Have a grader judge what is stored already. */
export function GraderRunDialog({ project, grader, onClose }: GraderRunDialogProps) {
  const client = useQueryClient();
  const models = useQuery(modelsQuery(project));
  const [limit, setLimit] = useState<number | undefined>(100);
  const [chosen, setChosen] = useState<string[]>([]);
  const [again, setAgain] = useState(false);
  const run = useMutation({
    mutationFn: () =>
      body(
        api.POST('/api/v1/graders/{key}/run', {
          params: { path: { key: grader.key }, query: { project } },
          body: { again, models: chosen, ...(limit === undefined ? {} : { limit }) },
        }),
      ),
    onSuccess: async ({ queued }) => {
      await client.invalidateQueries({ queryKey: gradersQuery(project).queryKey });
      tell(`${count(queued)} interaction${queued === 1 ? ' waits' : 's wait'} to be judged`);
      onClose();
    },
  });
  return (
    <Modal opened onClose={onClose} title={`Run ${grader.name}`}>
      <DialogForm sending={run} fields={['limit', 'models']} confirm="Run" onCancel={onClose}>
        <Text size="sm">
          It judges interactions that are stored already, whatever its share, in the background.
        </Text>
        <NumberField
          label="Interactions"
          description="The newest; empty: all"
          data-autofocus
          min={1}
          value={limit}
          onChange={setLimit}
          error={fieldError(run.error, 'limit')}
        />
        <MultiSelect
          label="Of these models"
          placeholder={chosen.length ? undefined : 'all'}
          searchable
          data={models.data?.map((found) => found.id.slice(project.length + 1))}
          value={chosen}
          onChange={setChosen}
          error={fieldError(run.error, 'models')}
        />
        <Unread queries={{ Models: models }} />
        <Checkbox
          label="Also those that it has judged"
          description="Their earlier scores stay"
          checked={again}
          onChange={(event) => setAgain(event.currentTarget.checked)}
        />
      </DialogForm>
    </Modal>
  );
}
