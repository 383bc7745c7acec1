import { Modal, Text } from '@mantine/core';
import { useMutation } from '@tanstack/react-query';
import { useState } from 'react';
import { api, body } from '../api/client';
import { DialogForm } from '../components/Form';
import { LimitInputs } from './LimitInputs';
import type { ApiKey } from './queries';

interface LimitsDialogProps {
  apiKey: ApiKey;
  onClose: () => void;
  onSaved: () => Promise<unknown>;
}

/** What may be asked with one key. */
export function LimitsDialog({ apiKey, onClose, onSaved }: LimitsDialogProps) {
  const [limits, setLimits] = useState(apiKey.limits ?? {});
  const save = useMutation({
    mutationFn: () =>
      body(api.PATCH('/api/v1/keys/{key}', { params: { path: { key: apiKey.id } }, body: { limits } })),
    onSuccess: async () => {
      await onSaved();
      onClose();
    },
  });
  return (
    <Modal opened onClose={onClose} title={`Limits of ${apiKey.name}`} size="lg">
      <DialogForm sending={save} fields={['limits']} confirm="Save" onCancel={onClose}>
        <Text size="sm" c="dimmed">
          Requests beyond them are refused with 429 and told when to try again.
        </Text>
        <LimitInputs limits={limits} onChange={setLimits} error={save.error} path="limits" />
      </DialogForm>
    </Modal>
  );
}
