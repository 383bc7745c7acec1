import { Alert, Anchor, Badge, Button, Group, Stack, Table, Text, Title } from '@mantine/core';
import { useDisclosure } from '@mantine/hooks';
import { IconCloudPlus, IconCube, IconDownload, IconPlus } from '@tabler/icons-react';
import { useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { isUnreachable } from '../api/errors';
import { CodeBlock } from '../components/CodeBlock';
import { EmptyState } from '../components/EmptyState';
import { bytes, count } from '../components/format';
import { Loaded } from '../components/Loaded';
import { DataTable, Page } from '../components/Page';
import { useAsked } from '../shell/useAsked';
import { useMayOnServer } from '../shell/useMayOnServer';
import { useMay, useProject } from '../shell/useProject';
import { AttachDialog } from './AttachDialog';
import { ExternalModelDialog } from './ExternalModelDialog';
import { ImportDialog } from './ImportDialog';
import { ImportTable } from './ImportTable';
import { ModelMenu } from './ModelMenu';
import { ModelState } from './ModelState';
import { runsAt } from './providers';
import { deploymentIn, type Model, projectModelsQuery, registeredModelsQuery } from './queries';
import { Tags } from './Tags';

const IMPORT = `adaptive models import ./Qwen3-0.6B-Q8_0.gguf --key qwen3
adaptive models deploy qwen3 --default`;

/** The models of the project and, for who manages them, all others of the server. */
export function ModelsPage() {
  const project = useProject();
  const mayDeploy = useMay('model:deploy');
  const mayManage = useMayOnServer('admin:manage_models');
  const query = useQuery(projectModelsQuery(project));
  const [attaching, dialog] = useDisclosure(false);
  const [importing, importDialog] = useDisclosure(false);
  const [adding, addDialog] = useDisclosure(false);
  useAsked('Attach a model', dialog.open);
  useAsked('Import a model', importDialog.open);
  useAsked('Add an external model', addDialog.open);
  // Each of the tables would say the same.
  const isGone = query.data === undefined && isUnreachable(query.error);
  const actions = (
    <>
      {mayManage && (
        <Button
          size="xs"
          variant="default"
          leftSection={<IconCloudPlus size={15} />}
          onClick={addDialog.open}
        >
          Add an external model
        </Button>
      )}
      {mayManage && (
        <Button
          size="xs"
          variant="default"
          leftSection={<IconDownload size={15} />}
          onClick={importDialog.open}
        >
          Import a model
        </Button>
      )}
      {mayDeploy && (
        <Button size="xs" leftSection={<IconPlus size={15} />} onClick={dialog.open}>
          Attach a model
        </Button>
      )}
    </>
  );
  return (
    <Page
      title="Models"
      description="Requests name a model as project/model; those that name the project only go to the default or into an A/B test."
      actions={actions}
    >
      <Stack gap="lg">
        <Loaded query={query} failed="Models could not be read">
          {(models) => (models.length ? <Deployed project={project} models={models} /> : <NoModels />)}
        </Loaded>
        {mayManage && !isGone && <ImportTable />}
        {mayManage && !isGone && <Registered project={project} />}
      </Stack>
      <AttachDialog project={project} opened={attaching} onClose={dialog.close} />
      {adding && <ExternalModelDialog project={project} onClose={addDialog.close} />}
      <ImportDialog opened={importing} onClose={importDialog.close} />
    </Page>
  );
}

function Deployed({ project, models }: { project: string; models: Model[] }) {
  return (
    <Stack gap="sm">
      {models
        .filter((model) => model.reason)
        .map((model) => (
          <Alert
            key={model.id}
            color={model.state === 'ERROR' ? 'red' : 'gray'}
            title={model.key}
            role="note"
          >
            {model.reason}
          </Alert>
        ))}
      <DataTable
        label="Models of this project"
        head={['Model', 'State', 'Runs at', 'Capabilities', 'Context', 'Memory', 'Settings', '']}
      >
        {models.map((model) => {
          const deployment = deploymentIn(model, project);
          const set = Object.entries(deployment?.settings ?? {}).filter(([, value]) => value !== null);
          return (
            <Table.Tr key={model.id}>
              <Table.Td>
                <Group gap={8}>
                  <ModelLink project={project} model={model} />
                  {deployment?.is_default && (
                    <Badge size="sm" variant="dot" tt="none">
                      default
                    </Badge>
                  )}
                </Group>
                {model.name !== model.key && (
                  <Text size="xs" c="dimmed">
                    {model.name}
                  </Text>
                )}
              </Table.Td>
              <Table.Td>
                <ModelState model={model} />
              </Table.Td>
              <Table.Td style={{ whiteSpace: 'nowrap' }}>{runsAt(model.provider)}</Table.Td>
              <Table.Td>
                <Tags tags={model.tags ?? []} />
              </Table.Td>
              <Table.Td>{model.context_length === null ? '–' : count(model.context_length)}</Table.Td>
              <Table.Td>{model.memory ? bytes(model.memory.weights + model.memory.kv_cache) : '–'}</Table.Td>
              <Table.Td>{set.length ? set.map(([name]) => name).join(', ') : '–'}</Table.Td>
              <Table.Td>
                <ModelMenu project={project} model={model} />
              </Table.Td>
            </Table.Tr>
          );
        })}
      </DataTable>
    </Stack>
  );
}

function Registered({ project }: { project: string }) {
  const query = useQuery(registeredModelsQuery);
  return (
    <Stack gap="sm">
      <Title order={2} size="h4">
        All models of the server
      </Title>
      <Loaded query={query} failed="The server's models could not be read">
        {(models) => (
          <DataTable
            label="All models of the server"
            head={['Model', 'State', 'Runs at', 'Memory', 'Projects', '']}
          >
            {models.map((model) => (
              <Table.Tr key={model.id}>
                <Table.Td>{model.key}</Table.Td>
                <Table.Td>
                  <ModelState model={model} />
                </Table.Td>
                <Table.Td style={{ whiteSpace: 'nowrap' }}>
                  {runsAt(model.provider)}
                  {model.external && (
                    <Text size="xs" c="dimmed">
                      {model.external.external_model_id}
                    </Text>
                  )}
                </Table.Td>
                <Table.Td miw={220}>
                  {model.memory
                    ? `${bytes(model.memory.weights)} weights, ${bytes(model.memory.kv_cache)} KV cache`
                    : '–'}
                </Table.Td>
                <Table.Td>
                  {model.deployments.map((deployment) => deployment.project).join(', ') || '–'}
                </Table.Td>
                <Table.Td>
                  <ModelMenu project={project} model={model} />
                </Table.Td>
              </Table.Tr>
            ))}
          </DataTable>
        )}
      </Loaded>
    </Stack>
  );
}

function ModelLink({ project, model }: { project: string; model: Model }) {
  return (
    <Anchor
      size="sm"
      fw={600}
      renderRoot={(props) => (
        <Link to="/projects/$project/models/$model" params={{ project, model: model.key }} {...props} />
      )}
    >
      {model.key}
    </Anchor>
  );
}

function NoModels() {
  return (
    <EmptyState icon={IconCube} title="No model in this project">
      <p>
        A model is imported once on the server or added from a provider, here or there, and attached to every
        project that shall use it:
      </p>
      <div style={{ textAlign: 'left' }}>
        <CodeBlock code={IMPORT} label="Shell" />
      </div>
    </EmptyState>
  );
}
