import { Alert, Button, Group, MultiSelect, Select, SimpleGrid, TagsInput, Text } from '@mantine/core';
import { useMutation, useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { api, body } from '../api/client';
import { AnswerSchemaEditor } from '../chat/AnswerSchemaEditor';
import { Form } from '../components/Form';
import { fieldError } from '../components/fieldError';
import { LongTextField } from '../components/LongTextField';
import { NumberField } from '../components/NumberField';
import { tell } from '../components/tell';
import { type Draft, draftOf, placeholders, settingsOf } from './draft';
import { deploymentIn, type Model, projectModelsQuery, useModelsChanged } from './queries';

const FIELDS = [
  'system_prompt',
  'temperature',
  'top_p',
  'max_tokens',
  'seed',
  'max_ttft_ms',
  'stop',
  'fallbacks',
].map((name) => `settings.${name}`);

/** What requests to this model get in this project where they do not say otherwise. */
export function ModelSettingsForm({ project, model }: { project: string; model: Model }) {
  const changed = useModelsChanged(project);
  const saved = deploymentIn(model, project)?.settings;
  const { data: models = [] } = useQuery(projectModelsQuery(project));
  const [draft, setDraft] = useState<Draft>(() => draftOf(saved));
  const save = useMutation({
    mutationFn: async () =>
      body(
        api.PATCH('/api/v1/projects/{project}/models/{model}', {
          params: { path: { project, model: model.key } },
          body: { settings: settingsOf(draft) },
        }),
      ),
    onSuccess: async (updated) => {
      setDraft(draftOf(deploymentIn(updated, project)?.settings));
      tell('The settings are saved, and count from the next request on');
      await changed();
    },
  });
  const set = (change: Partial<Draft>) => setDraft({ ...draft, ...change });
  const wrong = (name: string) => fieldError(save.error, `settings.${name}`);
  const number = (name: 'temperature' | 'topP' | 'maxTokens' | 'seed' | 'maxTtftMs', field: string) => ({
    value: draft[name],
    onChange: (value: number | undefined) => set({ [name]: value }),
    error: wrong(field),
  });
  const names = placeholders(draft.systemPrompt);
  return (
    <Form
      sending={save}
      fields={FIELDS}
      failed="The settings were not saved"
      maw={720}
      buttons={
        <Group>
          <Button type="submit" loading={save.isPending}>
            Save settings
          </Button>
          <Button variant="default" onClick={() => setDraft(draftOf(saved))}>
            Undo changes
          </Button>
        </Group>
      }
    >
      <LongTextField
        label="System prompt"
        description="In front of every conversation. {{ name }} stands for an argument that requests send"
        placeholder="You help customers of {{ shop }}."
        minRows={3}
        maxRows={16}
        value={draft.systemPrompt}
        onChange={(systemPrompt) => set({ systemPrompt })}
        error={wrong('system_prompt')}
      />
      {names.length > 0 && (
        <Text size="sm" c="dimmed">
          Requests have to send{' '}
          <code>
            "system_prompt_args": {'{'}
            {names.map((name) => `"${name}": …`).join(', ')}
            {'}'}
          </code>
          ; without them they are refused.
        </Text>
      )}
      <SimpleGrid cols={{ base: 1, xs: 2 }}>
        <NumberField
          label="Temperature"
          placeholder="the model's"
          min={0}
          max={2}
          step={0.1}
          {...number('temperature', 'temperature')}
        />
        <NumberField
          label="Top p"
          placeholder="the model's"
          min={0}
          max={1}
          step={0.05}
          {...number('topP', 'top_p')}
        />
        <NumberField
          label="Max tokens"
          description="A request may ask for more"
          placeholder="none"
          min={1}
          {...number('maxTokens', 'max_tokens')}
        />
        <NumberField
          label="Seed"
          description="Without one, each request draws its own"
          placeholder="random"
          {...number('seed', 'seed')}
        />
        <NumberField
          label="Limit of the first token"
          description="Requests that cannot meet it are refused at once"
          placeholder="none"
          suffix=" ms"
          min={1}
          {...number('maxTtftMs', 'max_ttft_ms')}
        />
        <TagsInput
          label="Stop sequences"
          description="An answer ends before the first of these"
          value={draft.stop}
          onChange={(stop) => set({ stop })}
          error={wrong('stop')}
        />
        <MultiSelect
          label="Fallbacks"
          description="Answer in this order when it fails before it has said anything"
          placeholder={draft.fallbacks.length ? undefined : 'none'}
          searchable
          nothingFoundMessage="The project has no other model"
          data={models.map(({ key }) => key).filter((key) => key !== model.key)}
          value={draft.fallbacks}
          onChange={(fallbacks) => set({ fallbacks })}
          error={wrong('fallbacks')}
        />
      </SimpleGrid>
      <Select
        label="Answers are"
        description="A request with a response format of its own overrides it"
        allowDeselect={false}
        data={[
          { value: 'none', label: 'What requests ask for, else free text' },
          { value: 'json_object', label: 'Any JSON object' },
          { value: 'json_schema', label: 'JSON of a schema' },
          { value: 'text', label: 'Free text' },
        ]}
        value={draft.format}
        onChange={(format) => set({ format: format as Draft['format'] })}
      />
      {draft.format === 'json_schema' && (
        <AnswerSchemaEditor
          project={project}
          settings={{ model: model.key }}
          about="this model"
          value={draft.schema}
          onChange={(schema) => set(schema ? { schema } : { schema, format: 'none' })}
        />
      )}
      {save.data?.warnings?.map((warning) => (
        <Alert key={warning.message} color="yellow" role="note">
          {warning.message}
        </Alert>
      ))}
    </Form>
  );
}
