import { ActionIcon, Checkbox, Menu } from '@mantine/core';
import { IconDots } from '@tabler/icons-react';
import { useMutation } from '@tanstack/react-query';
import { useState } from 'react';
import { api, body } from '../api/client';
import { ConfirmDialog } from '../components/ConfirmDialog';
import { tell, tellError } from '../components/tell';
import { useMayOnServer } from '../shell/useMayOnServer';
import { useMay } from '../shell/useProject';
import { ExternalModelDialog } from './ExternalModelDialog';
import { deploymentIn, type Model, useModelsChanged } from './queries';

/** What can be done with a model, in the open project and, for who manages them, on the whole server. */
export function ModelMenu({ project, model }: { project: string; model: Model }) {
  const mayDeploy = useMay('model:deploy');
  const mayManage = useMayOnServer('admin:manage_models');
  const changed = useModelsChanged(project);
  const [asking, setAsking] = useState<'change' | 'detach' | 'terminate' | null>(null);
  const deployment = deploymentIn(model, project);
  const path = { project, model: model.key };
  const change = useMutation({
    mutationFn: (update: { desired_online?: boolean; is_default?: true }) =>
      body(api.PATCH('/api/v1/projects/{project}/models/{model}', { params: { path }, body: update })),
    onSuccess: () => tell(`${model.key} is changed`),
    onError: (error) => tellError(error, `${model.key} was not changed`),
    onSettled: changed,
  });
  const attach = useMutation({
    mutationFn: () =>
      body(
        api.POST('/api/v1/projects/{project}/models', {
          params: { path: { project } },
          body: { model: model.key, desired_online: true, make_default: false, wait: false },
        }),
      ),
    onSuccess: () => tell(`${model.key} is attached`),
    onError: (error) => tellError(error, `${model.key} was not attached`),
    onSettled: changed,
  });
  const mayTerminate = mayManage && model.state !== 'OFFLINE';
  const mayChange = mayManage && model.external != null;
  if (!mayDeploy && !mayTerminate && !mayChange) return null;
  return (
    <>
      <Menu position="bottom-end" shadow="md" width={230}>
        <Menu.Target>
          <ActionIcon variant="subtle" color="gray" aria-label={`Actions for ${model.key}`}>
            <IconDots size={18} />
          </ActionIcon>
        </Menu.Target>
        <Menu.Dropdown>
          {mayChange && <Menu.Item onClick={() => setAsking('change')}>Change provider and prices</Menu.Item>}
          {mayDeploy && !deployment && (
            <Menu.Item onClick={() => attach.mutate()}>Attach to this project</Menu.Item>
          )}
          {mayDeploy && deployment && (
            <>
              {!deployment.is_default && (
                <Menu.Item onClick={() => change.mutate({ is_default: true })}>Make default</Menu.Item>
              )}
              {deployment.desired_online && model.state !== 'ERROR' ? (
                <Menu.Item onClick={() => change.mutate({ desired_online: false })}>
                  Take offline in this project
                </Menu.Item>
              ) : (
                <Menu.Item onClick={() => change.mutate({ desired_online: true })}>Bring online</Menu.Item>
              )}
              <Menu.Item color="red" onClick={() => setAsking('detach')}>
                Detach from this project
              </Menu.Item>
            </>
          )}
          {mayTerminate && (
            <Menu.Item color="red" onClick={() => setAsking('terminate')}>
              Terminate for all projects
            </Menu.Item>
          )}
        </Menu.Dropdown>
      </Menu>
      {asking === 'change' && (
        <ExternalModelDialog project={project} model={model} onClose={() => setAsking(null)} />
      )}
      <Detach project={project} model={model} opened={asking === 'detach'} onClose={() => setAsking(null)} />
      <Terminate
        project={project}
        model={model}
        opened={asking === 'terminate'}
        onClose={() => setAsking(null)}
      />
    </>
  );
}

interface DialogProps {
  project: string;
  model: Model;
  opened: boolean;
  onClose: () => void;
}

function Detach({ project, model, opened, onClose }: DialogProps) {
  const changed = useModelsChanged(project);
  const [force, setForce] = useState(false);
  const isDefault = deploymentIn(model, project)?.is_default;
  const detach = async () => {
    await api.DELETE('/api/v1/projects/{project}/models/{model}', {
      params: { path: { project, model: model.key }, query: { force } },
    });
    await changed();
  };
  return (
    <ConfirmDialog
      title={`Detach ${model.key}`}
      confirm="Detach"
      opened={opened}
      onClose={onClose}
      onConfirm={detach}
    >
      <p>
        Requests of this project cannot name it any more, and its settings here are deleted. What it is
        answering for this project ends if no other project wants it. Its files and its interactions stay.
      </p>
      {isDefault && (
        <Checkbox
          label="Also if that leaves the project without a default model"
          checked={force}
          onChange={(event) => setForce(event.currentTarget.checked)}
        />
      )}
    </ConfirmDialog>
  );
}

function Terminate({ project, model, opened, onClose }: DialogProps) {
  const changed = useModelsChanged(project);
  const [force, setForce] = useState(false);
  const wanting = model.deployments.filter((deployment) => deployment.desired_online);
  const terminate = async () => {
    await body(
      api.POST('/api/v1/admin/models/{key}/terminate', {
        params: { path: { key: model.key } },
        body: { force },
      }),
    );
    await changed();
  };
  return (
    <ConfirmDialog
      title={`Terminate ${model.key}`}
      confirm="Terminate"
      opened={opened}
      onClose={onClose}
      onConfirm={terminate}
    >
      <p>
        It leaves memory, and what it is answering ends with an error. It stays offline until somebody deploys
        it.
      </p>
      {wanting.length > 1 && (
        <Checkbox
          label={`Also though these projects want it online: ${wanting.map(({ project: key }) => key).join(', ')}`}
          checked={force}
          onChange={(event) => setForce(event.currentTarget.checked)}
        />
      )}
    </ConfirmDialog>
  );
}
