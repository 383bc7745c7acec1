import { Checkbox } from '@mantine/core';
import { useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { api, body } from '../api/client';
import { ConfirmDialog } from '../components/ConfirmDialog';
import { many } from '../components/format';
import { tell } from '../components/tell';
import { ofCompletions } from './chosen';
import { type Filter, isEmpty, selection } from './filter';

interface DeleteDialogProps {
  project: string;
  filter: Filter;
  chosen: ReadonlySet<string>;
  opened: boolean;
  onClose: () => void;
  onDeleted: () => void;
}

/** Delete the chosen rows, or all that match the filter. */
export function DeleteDialog({ project, filter, chosen, opened, onClose, onDeleted }: DeleteDialogProps) {
  const client = useQueryClient();
  const [sure, setSure] = useState(false);
  const everything = !chosen.size && isEmpty(filter);
  const close = () => {
    setSure(false);
    onClose();
  };
  const remove = async () => {
    const whole = chosen.size ? ofCompletions(project, chosen) : [selection(project, filter)];
    let deleted = 0;
    try {
      for (const which of whole) {
        deleted += (
          await body(api.POST('/api/v1/interactions/delete', { body: { ...which, all: everything } }))
        ).deleted;
      }
    } finally {
      await client.invalidateQueries({ queryKey: ['interactions', project] });
    }
    tell(`${many(deleted, 'interaction')} deleted`);
    onDeleted();
  };
  return (
    <ConfirmDialog
      title="Delete interactions"
      confirm="Delete"
      opened={opened}
      onClose={close}
      onConfirm={remove}
      disabled={!chosen.size && !sure}
    >
      {chosen.size ? (
        <p>This deletes {many(chosen.size, 'selected interaction')}, with all scores and comparisons.</p>
      ) : (
        <>
          <p>
            {everything
              ? `All interactions of the project ${project}`
              : 'All interactions that match the filter'}{' '}
            are deleted, with their scores and comparisons, on all pages.
          </p>
          <Checkbox
            label={everything ? 'Delete every interaction of this project' : 'Delete all that match'}
            checked={sure}
            onChange={(event) => setSure(event.currentTarget.checked)}
          />
        </>
      )}
      <p>This cannot be undone. What is still running stays.</p>
    </ConfirmDialog>
  );
}
