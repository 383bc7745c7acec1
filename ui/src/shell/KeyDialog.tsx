import { Modal, Select, Text, TextInput } from '@mantine/core';
import { useMutation, useQueryClient } from '@tanstack/react-query';
import { type ReactNode, useState } from 'react';
import { api, body, type Schemas } from '../api/client';
import { keysQuery } from '../api/queries';
import { DialogForm } from '../components/Form';
import { fieldError } from '../components/fieldError';
import { KeyShown } from './KeyShown';
import { inDays, LIVES } from './keyEnds';

interface KeyDialogProps {
  title: string;
  /** What the key may do. */
  about?: string;
  /** What to do with its text. */
  advice: string;
  name?: string;
  nameDescription?: string;
  /** Whose key it is, or what it may. */
  rights: () => Omit<Schemas['ApiKeyCreate'], 'name' | 'expires_at'>;
  /** The parts of `rights` that have a field among the children. */
  fields: string[];
  onClose: () => void;
  /** What else there is to be chosen, around the field that says when the key ends. */
  children: (ends: ReactNode, error: Error | null) => ReactNode;
}

/** A new key, whose text is shown once. */
export function KeyDialog({
  title,
  about,
  advice,
  rights,
  fields,
  onClose,
  children,
  ...rest
}: KeyDialogProps) {
  const client = useQueryClient();
  const [name, setName] = useState(rest.name ?? '');
  const [life, setLife] = useState('');
  const create = useMutation({
    mutationFn: () =>
      body(
        api.POST('/api/v1/keys', {
          body: { name: name.trim(), ...rights(), ...(life ? { expires_at: inDays(life) } : {}) },
        }),
      ),
    onSuccess: () => client.invalidateQueries({ queryKey: keysQuery.queryKey }),
  });
  const key = create.data?.api_key;
  const ends = (
    <Select
      label="Ends"
      allowDeselect={false}
      data={LIVES}
      value={life}
      onChange={(value) => setLife(value!)}
      error={fieldError(create.error, 'expires_at')}
    />
  );
  return (
    <Modal opened onClose={onClose} title={key ? 'Your new API key' : title} size="lg">
      {key ? (
        <KeyShown apiKey={key} advice={advice} onDone={onClose} />
      ) : (
        <DialogForm
          sending={create}
          fields={['name', 'expires_at', ...fields]}
          confirm="Generate"
          onCancel={onClose}
        >
          {about && (
            <Text size="sm" c="dimmed">
              {about}
            </Text>
          )}
          <TextInput
            label="Name"
            description={rest.nameDescription}
            placeholder="web-shop"
            required
            data-autofocus
            value={name}
            onChange={(event) => setName(event.currentTarget.value)}
            error={fieldError(create.error, 'name')}
          />
          {children(ends, create.error)}
        </DialogForm>
      )}
    </Modal>
  );
}
