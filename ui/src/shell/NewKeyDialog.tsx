import { Button, Group, Modal, Select, Stack, Text, TextInput } from '@mantine/core';
import { useMutation, useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { api, body } from '../api/client';
import { rolesQuery } from '../api/queries';
import { CodeBlock } from '../components/CodeBlock';
import { ErrorNotice } from '../components/ErrorNotice';

interface NewKeyDialogProps {
  project: string;
  opened: boolean;
  onClose: () => void;
}

/** A key for one project. Its text is shown once, as everywhere. */
export function NewKeyDialog({ project, opened, onClose }: NewKeyDialogProps) {
  const { data: roles = [] } = useQuery({ ...rolesQuery, enabled: opened });
  const [name, setName] = useState('');
  const [role, setRole] = useState('inference');
  const create = useMutation({
    mutationFn: () => body(api.POST('/api/v1/keys', { body: { name: name.trim(), role, project } })),
  });
  const close = () => {
    onClose();
    setName('');
    create.reset();
  };
  const key = create.data?.api_key;
  return (
    <Modal
      opened={opened}
      onClose={close}
      title={key ? 'Your new API key' : 'Generate new API key'}
      size="lg"
    >
      {key ? (
        <Stack>
          <Text size="sm">Copy it now. It is shown this once; the server stores only a hash of it.</Text>
          <CodeBlock code={key} label="API key" />
          <Text size="sm">For programs that read the environment:</Text>
          <CodeBlock
            code={`export ADAPTIVE_URL=${window.location.origin}\nexport ADAPTIVE_API_KEY=${key}`}
            label="Environment"
          />
          <Group justify="flex-end">
            <Button onClick={close}>Done</Button>
          </Group>
        </Stack>
      ) : (
        <form
          onSubmit={(event) => {
            event.preventDefault();
            create.mutate();
          }}
        >
          <Stack>
            <Text size="sm" c="dimmed">
              It works in the project {project} only.
            </Text>
            <TextInput
              label="Name"
              description="What will use it, so that you know later what stops when you revoke it"
              placeholder="web-shop"
              required
              data-autofocus
              value={name}
              onChange={(event) => setName(event.currentTarget.value)}
            />
            <Select
              label="Role"
              description="Applications use inference: it asks models, and cannot read what others asked"
              data={roles.map((found) => ({ value: found.key, label: found.name }))}
              value={role}
              onChange={(value) => value && setRole(value)}
              allowDeselect={false}
            />
            {create.error && <ErrorNotice error={create.error} />}
            <Group justify="flex-end">
              <Button variant="default" onClick={close}>
                Cancel
              </Button>
              <Button type="submit" loading={create.isPending} disabled={!name.trim()}>
                Generate
              </Button>
            </Group>
          </Stack>
        </form>
      )}
    </Modal>
  );
}
