import { Autocomplete, Checkbox, Modal } from '@mantine/core';
import { useMutation, useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { api, body } from '../api/client';
import { DialogForm } from '../components/Form';
import { fieldError } from '../components/fieldError';
import { Unread } from '../components/Unread';
import { useMayOnServer } from '../shell/useMayOnServer';
import { deploymentIn, registeredModelsQuery, useModelsChanged } from './queries';

interface AttachDialogProps {
  project: string;
  opened: boolean;
  onClose: () => void;
}

/** Let a project use a model that the server has. */
export function AttachDialog({ project, opened, onClose }: AttachDialogProps) {
  const mayList = useMayOnServer('admin:manage_models');
  const models = useQuery({ ...registeredModelsQuery, enabled: opened && mayList });
  const changed = useModelsChanged(project);
  const [model, setModel] = useState('');
  const [online, setOnline] = useState(true);
  const [standard, setStandard] = useState(false);
  const attach = useMutation({
    mutationFn: () =>
      body(
        api.POST('/api/v1/projects/{project}/models', {
          params: { path: { project } },
          body: { model: model.trim(), desired_online: online, make_default: standard, wait: false },
        }),
      ),
    onSuccess: async () => {
      await changed();
      close();
    },
  });
  const close = () => {
    attach.reset();
    setModel('');
    onClose();
  };
  const others = (models.data ?? []).filter((found) => !deploymentIn(found, project)).map(({ key }) => key);
  return (
    <Modal opened={opened} onClose={close} title="Attach a model">
      <DialogForm sending={attach} fields={['model']} confirm="Attach" onCancel={close}>
        <Autocomplete
          label="Model"
          description={
            mayList
              ? 'Registered on this server, and not yet in this project'
              : 'Its key, as whoever imported it calls it'
          }
          placeholder={others[0] ?? 'qwen3'}
          required
          data-autofocus
          data={others}
          value={model}
          onChange={setModel}
          error={fieldError(attach.error, 'model')}
        />
        <Unread queries={{ Models: models }} />
        <Checkbox
          label="Load it now"
          checked={online}
          onChange={(event) => setOnline(event.currentTarget.checked)}
        />
        <Checkbox
          label="Make it the default of the project"
          checked={standard}
          onChange={(event) => setStandard(event.currentTarget.checked)}
        />
      </DialogForm>
    </Modal>
  );
}
