import { Alert, Button, Title } from '@mantine/core';
import { useMutation } from '@tanstack/react-query';
import { useState } from 'react';
import { api, body } from '../api/client';
import { Form } from '../components/Form';
import { fieldError } from '../components/fieldError';
import { NumberField } from '../components/NumberField';
import { tell } from '../components/tell';
import { type Model, useModelsChanged } from './queries';

type Size = 'kv_cache_len' | 'max_seq_len';

/** How much memory a model takes that runs on this server; vLLM finds the room for its cache itself. */
export function ComputeForm({ project, model }: { project: string; model: Model }) {
  const changed = useModelsChanged(project);
  const { kv_cache_len, max_seq_len } = model.compute_config;
  const [sizes, setSizes] = useState<Partial<Record<Size, number>>>({
    kv_cache_len: kv_cache_len ?? undefined,
    max_seq_len: max_seq_len ?? undefined,
  });
  const inVllm = model.provider === 'vllm';
  const shown: Size[] = inVllm ? ['max_seq_len'] : ['kv_cache_len', 'max_seq_len'];
  const save = useMutation({
    mutationFn: () =>
      body(
        api.PATCH('/api/v1/admin/models/{key}', {
          params: { path: { key: model.key } },
          body: {
            compute_config: Object.fromEntries(shown.map((name) => [name, sizes[name] ?? null])),
          },
        }),
      ),
    onSuccess: async () => {
      tell('Saved');
      await changed();
    },
  });
  const whose = inVllm ? "the model's" : "the server's";
  const field = (name: Size) => {
    const active = model.active_config?.[name];
    return {
      suffix: ' tokens',
      placeholder: active ? `${whose}: ${active}` : whose,
      min: 1,
      value: sizes[name],
      onChange: (value: number | undefined) => setSizes({ ...sizes, [name]: value }),
      error: fieldError(save.error, `compute_config.${name}`),
    };
  };
  return (
    <Form
      sending={save}
      fields={shown.map((name) => `compute_config.${name}`)}
      gap="sm"
      buttons={
        <Button type="submit" variant="default" w="fit-content" loading={save.isPending}>
          Save
        </Button>
      }
    >
      <Title order={2} size="h5">
        Memory, for all projects
      </Title>
      {model.reload_needed && (
        <Alert color="yellow" role="note">
          Changed since it was loaded. Terminate it and bring it online to let that take effect.
        </Alert>
      )}
      {!inVllm && (
        <NumberField
          label="KV cache"
          description="What fits into it of all its requests together"
          {...field('kv_cache_len')}
        />
      )}
      <NumberField
        label="Longest conversation"
        description="Prompt and answer of one request"
        {...field('max_seq_len')}
      />
    </Form>
  );
}
