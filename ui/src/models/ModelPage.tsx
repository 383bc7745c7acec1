import { Alert, Anchor, Button, NumberInput, Paper, SimpleGrid, Stack, Text, Title } from '@mantine/core';
import { useMutation, useQuery } from '@tanstack/react-query';
import { Link, useParams } from '@tanstack/react-router';
import { useState } from 'react';
import { api, body } from '../api/client';
import { ErrorNotice } from '../components/ErrorNotice';
import { Facts } from '../components/Facts';
import { bytes, count, onDay } from '../components/format';
import { Loaded } from '../components/Loaded';
import { Page } from '../components/Page';
import { tell } from '../components/tell';
import { useMayOnServer } from '../shell/useMayOnServer';
import { useMay } from '../shell/useProject';
import { ModelMenu } from './ModelMenu';
import { ModelSettingsForm } from './ModelSettingsForm';
import { ModelState } from './ModelState';
import { deploymentIn, type Model, modelQuery, useModelsChanged } from './queries';
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
                  <ComputeForm key={JSON.stringify(model.compute_config)} project={project} model={model} />
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
  const { memory } = model;
  return (
    <Facts
      facts={[
        ['State', <ModelState key="state" model={model} />],
        ['Name', model.name],
        ['Provider', model.provider],
        ['Capabilities', <Tags key="tags" tags={model.tags ?? []} />],
        ['Default of the project', deployment?.is_default ? 'yes' : 'no'],
        ['Context', model.context_length === null ? '–' : `${count(model.context_length)} tokens`],
        ['Weights', memory ? bytes(memory.weights) : '–'],
        ['KV cache', memory ? `${bytes(memory.kv_cache)}, ${bytes(memory.kv_cache_used)} in use` : '–'],
        ['Registered', onDay(model.created_at)],
      ]}
    />
  );
}

function ComputeForm({ project, model }: { project: string; model: Model }) {
  const changed = useModelsChanged(project);
  const [cache, setCache] = useState<number | string>(model.compute_config.kv_cache_len ?? '');
  const [longest, setLongest] = useState<number | string>(model.compute_config.max_seq_len ?? '');
  const value = (given: number | string) => (typeof given === 'number' ? given : null);
  const save = useMutation({
    mutationFn: () =>
      body(
        api.PATCH('/api/v1/admin/models/{key}', {
          params: { path: { key: model.key } },
          body: { compute_config: { kv_cache_len: value(cache), max_seq_len: value(longest) } },
        }),
      ),
    onSuccess: async () => {
      tell('Saved');
      await changed();
    },
  });
  const placeholder = (name: 'kv_cache_len' | 'max_seq_len') => {
    const active = model.active_config?.[name];
    return active ? `the server's: ${active}` : "the server's";
  };
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        save.mutate();
      }}
    >
      <Stack gap="sm">
        <Title order={2} size="h5">
          Memory, for all projects
        </Title>
        {model.reload_needed && (
          <Alert color="yellow" role="note">
            Changed since it was loaded. Terminate it and bring it online to let that take effect.
          </Alert>
        )}
        <NumberInput
          label="KV cache"
          suffix=" tokens"
          placeholder={placeholder('kv_cache_len')}
          allowDecimal={false}
          value={cache}
          onChange={setCache}
        />
        <NumberInput
          label="Longest conversation"
          suffix=" tokens"
          placeholder={placeholder('max_seq_len')}
          allowDecimal={false}
          value={longest}
          onChange={setLongest}
        />
        {save.error && <ErrorNotice error={save.error} />}
        <Button type="submit" variant="default" w="fit-content" loading={save.isPending}>
          Save
        </Button>
      </Stack>
    </form>
  );
}
