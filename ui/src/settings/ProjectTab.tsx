import { Alert, Button, Group, Select, Stack, Text, Textarea, TextInput } from '@mantine/core';
import { useDisclosure } from '@mantine/hooks';
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { api, body, type Schemas } from '../api/client';
import { metricsQuery, projectsQuery } from '../api/queries';
import { ConfirmDialog } from '../components/ConfirmDialog';
import { ErrorNotice } from '../components/ErrorNotice';
import { Facts } from '../components/Facts';
import { fieldError, otherError } from '../components/fieldError';
import { onDay } from '../components/format';
import { Loaded } from '../components/Loaded';
import { tell, tellError } from '../components/tell';
import { useMay } from '../shell/useProject';
import { projectQuery } from './queries';

/** What the project is called and what its thumbs count for; and its end. */
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
  const { data: metrics = [] } = useQuery(metricsQuery(found.key));
  const [name, setName] = useState(found.name);
  const [description, setDescription] = useState(found.description);
  const [metric, setMetric] = useState(found.settings?.default_metric ?? null);
  const save = useMutation({
    mutationFn: () =>
      body(
        api.PATCH('/api/v1/projects/{project}', {
          params: { path: { project: found.key } },
          body: { name, description, settings: { default_metric: metric } },
        }),
      ),
    onSuccess: async (saved) => {
      await changed(saved);
      tell('The project is saved');
    },
  });
  const rest = otherError(save.error, 'name', 'description', 'settings');
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        save.mutate();
      }}
    >
      <Stack>
        <TextInput
          label="Key"
          description="What requests name; it cannot change"
          value={found.key}
          readOnly
        />
        <TextInput
          label="Name"
          required
          value={name}
          onChange={(event) => setName(event.currentTarget.value)}
          error={fieldError(save.error, 'name')}
        />
        <Textarea
          label="Description"
          autosize
          minRows={2}
          value={description}
          onChange={(event) => setDescription(event.currentTarget.value)}
          error={fieldError(save.error, 'description')}
        />
        <Select
          label="Default metric"
          description="What thumbs in the chat count for"
          clearable
          placeholder="None"
          data={metrics
            .filter((one) => one.category === 'USER')
            .map((one) => ({ value: one.key, label: one.name }))}
          value={metric}
          onChange={setMetric}
          error={fieldError(save.error, 'settings')}
        />
        {rest && <ErrorNotice error={rest} />}
        <Group>
          <Button type="submit" loading={save.isPending}>
            Save
          </Button>
        </Group>
      </Stack>
    </form>
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
