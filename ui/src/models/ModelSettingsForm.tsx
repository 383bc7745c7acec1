import {
  Alert,
  Button,
  Group,
  NumberInput,
  Select,
  SimpleGrid,
  Stack,
  TagsInput,
  Text,
  Textarea,
} from '@mantine/core';
import { useMutation } from '@tanstack/react-query';
import { useState } from 'react';
import { api, body } from '../api/client';
import { AnswerSchemaEditor } from '../chat/AnswerSchemaEditor';
import { ErrorNotice } from '../components/ErrorNotice';
import { fieldError, otherError } from '../components/fieldError';
import { tell } from '../components/tell';
import { type Draft, draftOf, placeholders, settingsOf } from './draft';
import { deploymentIn, type Model, useModelsChanged } from './queries';

const FIELDS = ['system_prompt', 'temperature', 'top_p', 'max_tokens', 'seed', 'max_ttft_ms', 'stop'];

/** What requests to this model get in this project where they do not say otherwise. */
export function ModelSettingsForm({ project, model }: { project: string; model: Model }) {
  const changed = useModelsChanged(project);
  const saved = deploymentIn(model, project)?.settings;
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
  const rest = otherError(save.error, ...FIELDS.map((name) => `settings.${name}`));
  const number = (name: 'temperature' | 'topP' | 'maxTokens' | 'seed' | 'maxTtftMs') => ({
    value: draft[name] ?? '',
    onChange: (value: number | string) => set({ [name]: typeof value === 'number' ? value : undefined }),
  });
  const names = placeholders(draft.systemPrompt);
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        save.mutate();
      }}
    >
      <Stack maw={720}>
        <Textarea
          label="System prompt"
          description="In front of every conversation. {{ name }} stands for an argument that requests send"
          placeholder="You help customers of {{ shop }}."
          autosize
          minRows={3}
          maxRows={16}
          value={draft.systemPrompt}
          onChange={(event) => set({ systemPrompt: event.currentTarget.value })}
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
          <NumberInput
            label="Temperature"
            placeholder="the model's"
            min={0}
            max={2}
            step={0.1}
            {...number('temperature')}
            error={wrong('temperature')}
          />
          <NumberInput
            label="Top p"
            placeholder="the model's"
            min={0}
            max={1}
            step={0.05}
            {...number('topP')}
            error={wrong('top_p')}
          />
          <NumberInput
            label="Max tokens"
            description="A request may ask for more"
            placeholder="none"
            allowDecimal={false}
            min={1}
            {...number('maxTokens')}
            error={wrong('max_tokens')}
          />
          <NumberInput
            label="Seed"
            description="Without one, each request draws its own"
            placeholder="random"
            allowDecimal={false}
            {...number('seed')}
            error={wrong('seed')}
          />
          <NumberInput
            label="Limit of the first token"
            description="Requests that cannot meet it are refused at once"
            placeholder="none"
            suffix=" ms"
            allowDecimal={false}
            min={1}
            {...number('maxTtftMs')}
            error={wrong('max_ttft_ms')}
          />
          <TagsInput
            label="Stop sequences"
            description="An answer ends before the first of these"
            value={draft.stop}
            onChange={(stop) => set({ stop })}
            error={wrong('stop')}
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
        {rest && <ErrorNotice error={rest} title="The settings were not saved" />}
        <Group>
          <Button type="submit" loading={save.isPending}>
            Save settings
          </Button>
          <Button variant="default" onClick={() => setDraft(draftOf(saved))}>
            Undo changes
          </Button>
        </Group>
      </Stack>
    </form>
  );
}
