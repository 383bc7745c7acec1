import { Alert, Button, Select, Stack, Text, TextInput } from '@mantine/core';
import { useDisclosure } from '@mantine/hooks';
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { api, body, type Schemas } from '../api/client';
import { metricsQuery, projectsQuery } from '../api/queries';
import { ConfirmDialog } from '../components/ConfirmDialog';
import { Facts } from '../components/Facts';
import { Form } from '../components/Form';
import { fieldError } from '../components/fieldError';
import { onDay } from '../components/format';
import { Loaded } from '../components/Loaded';
import { LongTextField } from '../components/LongTextField';
import { tell, tellError } from '../components/tell';
import { Unread } from '../components/Unread';
import { useMay } from '../shell/useProject';
import { LimitInputs } from './LimitInputs';
import { type Limits, limitsText } from './limits';
import { projectQuery } from './queries';

/** What the project is called, what its thumbs count for and what may be asked in it; and its end. */
export function ProjectTab({ project }: { project: string }) {
  const mayUpdate = useMay('project:update');
  const query = useQuery(projectQuery(project));
  return (
    <Loaded query={query} failed="The project could not be read">
      {(found) => (
        <Stack maw={640} gap="xl">
          {mayUpdate ? (
            <ProjectForm key={found.id} found={found} />
          ) : (
            <Facts
              facts={[
                ['Key', <code key="key">{found.key}</code>],
                ['Name', found.name],
                ['Description', found.description || '–'],
                ['Default metric', found.settings?.default_metric ?? '–'],
                ['Limits', limitsText(found.settings?.limits) || 'the server’s'],
                ['Created', onDay(found.created_at)],
              ]}
            />
          )}
          <Archive found={found} />
        </Stack>
      )}
    </Loaded>
  );
}

function useProjectChanged(project: string) {
  const client = useQueryClient();
  return async (found: Schemas['Project']) => {
    client.setQueryData(projectQuery(project).queryKey, found);
    await client.invalidateQueries({ queryKey: projectsQuery.queryKey });
  };
}

function ProjectForm({ found }: { found: Schemas['Project'] }) {
  const changed = useProjectChanged(found.key);
  const metrics = useQuery(metricsQuery(found.key));
  const [name, setName] = useState(found.name);
  const [description, setDescription] = useState(found.description);
  const [metric, setMetric] = useState(found.settings?.default_metric ?? null);
  const [limits, setLimits] = useState<Limits>(found.settings?.limits ?? {});
  const save = useMutation({
    mutationFn: () =>
      body(
        api.PATCH('/api/v1/projects/{project}', {
          params: { path: { project: found.key } },
          body: { name, description, settings: { default_metric: metric, limits } },
        }),
      ),
    onSuccess: async (saved) => {
      await changed(saved);
      tell('The project is saved');
    },
  });
  return (
    <Form
      sending={save}
      fields={['name', 'description', 'settings']}
      buttons={
        <Button type="submit" w="fit-content" loading={save.isPending}>
          Save
        </Button>
      }
    >
      <TextInput label="Key" description="What requests name; it cannot change" value={found.key} readOnly />
      <TextInput
        label="Name"
        required
        value={name}
        onChange={(event) => setName(event.currentTarget.value)}
        error={fieldError(save.error, 'name')}
      />
      <LongTextField
        label="Description"
        value={description}
        onChange={setDescription}
        error={fieldError(save.error, 'description')}
      />
      <Select
        label="Default metric"
        description="What thumbs in the chat count for"
        clearable
        placeholder="None"
        data={metrics.data
          ?.filter((one) => one.category === 'USER')
          .map((one) => ({ value: one.key, label: one.name }))}
        value={metric}
        onChange={setMetric}
        error={fieldError(save.error, 'settings.default_metric')}
      />
      <Unread queries={{ Metrics: metrics }} />
      <LimitInputs limits={limits} onChange={setLimits} error={save.error} path="settings.limits" />
    </Form>
  );
}

function Archive({ found }: { found: Schemas['Project'] }) {
  const mayArchive = useMay('project:archive');
  const changed = useProjectChanged(found.key);
  const [asking, dialog] = useDisclosure(false);
  const path = { params: { path: { project: found.key } } };
  const restore = useMutation({
    mutationFn: () => body(api.POST('/api/v1/projects/{project}/unarchive', path)),
    onSuccess: changed,
    onError: (error) => tellError(error, 'The project was not brought back'),
  });
  if (found.archived_at) {
    return (
      <Alert color="yellow" title={`Archived on ${onDay(found.archived_at)}`} role="note">
        <Text size="sm" mb="xs">
          It answers no requests. Everything is still there to be read.
        </Text>
        {mayArchive && (
          <Button size="xs" variant="default" loading={restore.isPending} onClick={() => restore.mutate()}>
            Bring it back
          </Button>
        )}
      </Alert>
    );
  }
  if (!mayArchive) return null;
  const archive = async () => changed(await body(api.POST('/api/v1/projects/{project}/archive', path)));
  return (
    <div>
      <Button color="red" variant="light" onClick={dialog.open}>
        Archive this project
      </Button>
      <ConfirmDialog
        title={`Archive ${found.name}`}
        confirm="Archive"
        opened={asking}
        onClose={dialog.close}
        onConfirm={archive}
      >
        Its requests are refused from now on, and it is in no list any more. Interactions, settings and keys
        stay, and it can be brought back on this page.
      </ConfirmDialog>
    </div>
  );
}
