import {
  Checkbox,
  Divider,
  Modal,
  MultiSelect,
  PasswordInput,
  Select,
  SimpleGrid,
  Text,
  TextInput,
} from '@mantine/core';
import { useMutation } from '@tanstack/react-query';
import { useState } from 'react';
import { api, body } from '../api/client';
import { DialogForm } from '../components/Form';
import { fieldError } from '../components/fieldError';
import { JsonField } from '../components/JsonField';
import { NumberField } from '../components/NumberField';
import { tell, tellError } from '../components/tell';
import { useMay } from '../shell/useProject';
import {
  CAPABILITIES,
  changes,
  creation,
  draftOfModel,
  EMPTY,
  type ExternalDraft,
  jsonProblem,
} from './external';
import { PROVIDERS } from './providers';
import { type Model, useModelsChanged } from './queries';

const FIELDS = [
  'name',
  'key',
  'provider',
  'external_model_id',
  'api_key',
  'endpoint',
  'prices',
  'context_length',
  'capabilities',
  'extra_params',
  'profile',
];

interface ExternalModelDialogProps {
  project: string;
  /** Absent: a new one. */
  model?: Model;
  onClose: () => void;
}

/** A model that lives elsewhere: where, how it is asked there, and what that costs. */
export function ExternalModelDialog({ project, model, onClose }: ExternalModelDialogProps) {
  const changed = useModelsChanged(project);
  const mayDeploy = useMay('model:deploy');
  const [before] = useState(() => (model ? draftOfModel(model) : EMPTY));
  const [draft, setDraft] = useState(before);
  const [attach, setAttach] = useState(true);
  const set = (change: Partial<ExternalDraft>) => setDraft({ ...draft, ...change });
  const save = useMutation({
    mutationFn: () =>
      model
        ? body(
            api.PATCH('/api/v1/admin/models/{key}/external', {
              params: { path: { key: model.key } },
              body: changes(before, draft),
            }),
          )
        : body(api.POST('/api/v1/admin/models/external', { body: creation(draft) })),
    onSuccess: async (saved) => {
      if (!model && mayDeploy && attach) await attachTo(project, saved.key);
      await changed();
      tell(model ? `${saved.key} is changed, from the next request on` : `${saved.key} is registered`);
      onClose();
    },
  });
  const wrong = (...names: string[]) => fieldError(save.error, ...names);
  const provider = PROVIDERS[draft.provider];
  const text = (name: 'name' | 'key' | 'externalModelId' | 'endpoint' | 'currency', field: string) => ({
    value: draft[name],
    onChange: (event: { currentTarget: HTMLInputElement }) => set({ [name]: event.currentTarget.value }),
    error: wrong(field),
  });
  const number = (
    name: 'promptPrice' | 'completionPrice' | 'cachedPrice' | 'contextLength',
    field: string,
  ) => ({
    value: draft[name],
    onChange: (value: number | undefined) => set({ [name]: value }),
    error: wrong(field),
    min: 0,
  });
  const json = (name: 'extraParams' | 'profile', field: string) => ({
    value: draft[name],
    onChange: (value: string) => set({ [name]: value }),
    error: jsonProblem(draft[name]) ?? wrong(field),
  });
  return (
    <Modal opened onClose={onClose} title={model ? `Change ${model.key}` : 'Add an external model'} size="lg">
      <DialogForm
        sending={save}
        fields={FIELDS}
        confirm={model ? 'Save' : 'Add'}
        disabled={Boolean(jsonProblem(draft.extraParams) ?? jsonProblem(draft.profile))}
        onCancel={onClose}
      >
        {!model && (
          <Select
            label="Provider"
            data-autofocus
            allowDeselect={false}
            data={Object.entries(PROVIDERS).map(([value, { label }]) => ({ value, label }))}
            value={draft.provider}
            onChange={(chosen) => set({ provider: chosen! })}
            error={wrong('provider')}
          />
        )}
        <SimpleGrid cols={{ base: 1, xs: 2 }}>
          <TextInput
            label="Model"
            description="As the provider calls it"
            placeholder="gpt-4o"
            required
            {...text('externalModelId', 'external_model_id')}
          />
          <TextInput
            label="Name"
            description="As people read it"
            placeholder="GPT-4o"
            required
            {...text('name', 'name')}
          />
        </SimpleGrid>
        {!model && (
          <TextInput
            label="Key"
            description="As requests name it, behind the project; made from the name where none is given"
            placeholder="gpt-4o"
            {...text('key', 'key')}
          />
        )}
        {draft.provider !== 'fake' && (
          <>
            <TextInput
              label="Endpoint"
              description={
                provider?.needsEndpoint ? 'Up to /v1; of Azure, the resource' : 'Empty: the provider’s own'
              }
              placeholder={provider?.endpoint}
              required={provider?.needsEndpoint}
              {...text('endpoint', 'endpoint')}
            />
            <PasswordInput
              label="API key"
              description="Encrypted at once, and never shown again"
              placeholder={model?.external?.has_api_key ? 'One is stored: empty leaves it' : undefined}
              required={!model && provider?.needsKey}
              autoComplete="off"
              spellCheck={false}
              disabled={draft.removeKey}
              value={draft.apiKey}
              onChange={(event) => set({ apiKey: event.currentTarget.value })}
              error={wrong('api_key')}
              aria-invalid={wrong('api_key') ? true : undefined}
            />
            {model?.external?.has_api_key && !provider?.needsKey && (
              <Checkbox
                label="Remove the stored key"
                checked={draft.removeKey}
                onChange={(event) => set({ removeKey: event.currentTarget.checked, apiKey: '' })}
              />
            )}
          </>
        )}
        <Divider label="Prices of a million tokens" labelPosition="left" />
        <SimpleGrid cols={{ base: 2, xs: 4 }}>
          <NumberField label="Prompt" {...number('promptPrice', 'prices.prompt')} />
          <NumberField label="Completion" {...number('completionPrice', 'prices.completion')} />
          <NumberField label="Cached" placeholder="as prompt" {...number('cachedPrice', 'prices.cached')} />
          <TextInput label="Currency" placeholder="USD" {...text('currency', 'prices.currency')} />
        </SimpleGrid>
        <Divider label="What is known of it" labelPosition="left" />
        <SimpleGrid cols={{ base: 1, xs: 2 }}>
          <NumberField
            label="Context"
            description="For people; the provider enforces it"
            suffix=" tokens"
            {...number('contextLength', 'context_length')}
          />
          <MultiSelect
            label="Takes, beside text"
            description="Empty: what its profile says"
            data={CAPABILITIES}
            value={draft.capabilities}
            onChange={(capabilities) => set({ capabilities })}
            error={wrong('capabilities')}
          />
        </SimpleGrid>
        <JsonField
          label="Extra parameters"
          description="Sent with each request as they are; they win over what the request says"
          placeholder='{"service_tier": "flex"}'
          {...json('extraParams', 'extra_params')}
        />
        <JsonField
          label="Profile"
          description="What is known better than its provider’s usual profile says"
          placeholder='{"structured": "none", "images": false}'
          {...json('profile', 'profile')}
        />
        {!model && mayDeploy && (
          <Checkbox
            label={`Attach it to the project ${project}`}
            checked={attach}
            onChange={(event) => setAttach(event.currentTarget.checked)}
          />
        )}
        {model && (
          <Text size="sm" c="dimmed">
            What changes counts from the next request on, in all projects.
          </Text>
        )}
      </DialogForm>
    </Modal>
  );
}

/** It is registered in any case; what hinders attaching it is told apart. */
async function attachTo(project: string, model: string) {
  try {
    await body(
      api.POST('/api/v1/projects/{project}/models', {
        params: { path: { project } },
        body: { model, desired_online: true, make_default: false, wait: false },
      }),
    );
  } catch (error) {
    tellError(error, `${model} is registered, but was not attached`);
  }
}
