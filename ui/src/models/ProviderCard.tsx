import { Button, Code, Group, Stack, Title } from '@mantine/core';
import { useDisclosure } from '@mantine/hooks';
import { Facts } from '../components/Facts';
import { figure } from '../components/format';
import { ExternalModelDialog } from './ExternalModelDialog';
import { PROVIDERS, runsAt } from './providers';
import type { Model } from './queries';

/** Where an external model lives and what it costs, for who manages models. */
export function ProviderCard({ project, model }: { project: string; model: Model }) {
  const [changing, dialog] = useDisclosure(false);
  const { external_model_id, endpoint, has_api_key, prices, extra_params } = model.external!;
  const extra = Object.keys(extra_params);
  return (
    <Stack gap="sm">
      <Group justify="space-between" wrap="nowrap">
        <Title order={2} size="h5">
          At its provider, for all projects
        </Title>
        <Button size="xs" variant="default" flex="none" onClick={dialog.open}>
          Change
        </Button>
      </Group>
      <Facts
        facts={[
          ['Provider', runsAt(model.provider)],
          ['Model there', <Code key="model">{external_model_id}</Code>],
          ['Endpoint', endpoint ?? PROVIDERS[model.provider]?.endpoint ?? '–'],
          ['API key', has_api_key ? 'stored, encrypted' : 'none'],
          ['Price of a million tokens', prices ? priceOf(prices) : 'not known: answers have no cost'],
          ['Extra parameters', extra.length ? extra.join(', ') : '–'],
        ]}
      />
      {changing && <ExternalModelDialog project={project} model={model} onClose={dialog.close} />}
    </Stack>
  );
}

function priceOf({
  prompt,
  completion,
  cached,
  currency,
}: NonNullable<NonNullable<Model['external']>['prices']>) {
  const parts = [`${figure(prompt)} of prompts`, `${figure(completion)} of completions`];
  if (cached !== null && cached !== undefined) parts.push(`${figure(cached)} of cached prompts`);
  return `${currency}: ${parts.join(', ')}`;
}
