import { Alert, Anchor, Paper, SimpleGrid, Stack, Text, Title } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { Link, useParams } from '@tanstack/react-router';
import { Facts } from '../components/Facts';
import { bytes, count, onDay } from '../components/format';
import { Loaded } from '../components/Loaded';
import { Page } from '../components/Page';
import { useMayOnServer } from '../shell/useMayOnServer';
import { useMay } from '../shell/useProject';
import { ComputeForm } from './ComputeForm';
import { ModelMenu } from './ModelMenu';
import { ModelSettingsForm } from './ModelSettingsForm';
import { ModelState } from './ModelState';
import { ProviderCard } from './ProviderCard';
import { runsAt } from './providers';
import { deploymentIn, type Model, modelQuery } from './queries';
import { Tags } from './Tags';

/** One model in one project: how it does, and how it answers there. */
export function ModelPage() {
  const { project, model: key } = useParams({ from: '/projects/$project/models/$model' });
  const mayDeploy = useMay('model:deploy');
  const mayManage = useMayOnServer('admin:manage_models');
  const query = useQuery(modelQuery(project, key));
  const back = (
    <Anchor
      size="sm"
      renderRoot={(props) => <Link to="/projects/$project/models" params={{ project }} {...props} />}
    >
      All models
    </Anchor>
  );
  return (
    <Page
      title={key}
      description={back}
      actions={query.data && <ModelMenu project={project} model={query.data} />}
    >
      <Loaded query={query} failed="The model could not be read">
        {(model) => (
          <Stack gap="lg">
            {model.reason && (
              <Alert color={model.state === 'ERROR' ? 'red' : 'gray'} role="note">
                {model.reason}
              </Alert>
            )}
            <SimpleGrid cols={{ base: 1, lg: 2 }}>
              <Paper withBorder p="md">
                <Overview project={project} model={model} />
              </Paper>
              {mayManage && (
                <Paper withBorder p="md">
                  {model.external ? (
                    <ProviderCard project={project} model={model} />
                  ) : (
                    <ComputeForm key={JSON.stringify(model.compute_config)} project={project} model={model} />
                  )}
                </Paper>
              )}
            </SimpleGrid>
            <Title order={2} size="h4">
              Settings in this project
            </Title>
            {mayDeploy ? (
              <ModelSettingsForm key={model.id} project={project} model={model} />
            ) : (
              <Text size="sm" c="dimmed">
                Changing them takes the permission <code>model:deploy</code>.
              </Text>
            )}
          </Stack>
        )}
      </Loaded>
    </Page>
  );
}

function Overview({ project, model }: { project: string; model: Model }) {
  const deployment = deploymentIn(model, project);
  return (
    <Facts
      facts={[
        ['State', <ModelState key="state" model={model} />],
        ['Name', model.name],
        ['Runs at', runsAt(model.provider)],
        ['Capabilities', <Tags key="tags" tags={model.tags ?? []} />],
        ['Default of the project', deployment?.is_default ? 'yes' : 'no'],
        ['Context', model.context_length === null ? '–' : `${count(model.context_length)} tokens`],
        ...(model.provider === 'internal' ? memoryOf(model) : []),
        ['Registered', onDay(model.created_at)],
      ]}
    />
  );
}

function memoryOf({ memory }: Model): [string, string][] {
  return [
    ['Weights', memory ? bytes(memory.weights) : '–'],
    ['KV cache', memory ? `${bytes(memory.kv_cache)}, ${bytes(memory.kv_cache_used)} in use` : '–'],
  ];
}
