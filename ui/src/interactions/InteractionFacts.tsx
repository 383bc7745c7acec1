import { Divider, Stack } from '@mantine/core';
import { CodeBlock } from '../components/CodeBlock';
import { Facts } from '../components/Facts';
import { count, duration, money, when } from '../components/format';
import type { Interaction } from './queries';
import { StateBadge } from './StateBadge';

const TIMINGS: Record<string, string> = {
  queue_ms: 'Waited',
  ttft_ms: 'First token after',
  total_ms: 'Finished after',
};

/** What the answer took, how it was asked for, and under which ids it is found. */
export function InteractionFacts({ interaction }: { interaction: Interaction }) {
  const { usage, timings } = interaction;
  const cached = usage.prompt_tokens_details?.cached_tokens ?? 0;
  return (
    <Stack>
      <Facts
        facts={[
          ['State', <StateBadge key="state" state={interaction.state} />],
          ['Finish reason', interaction.finish_reason ?? '–'],
          ['Created', when(interaction.created_at)],
          ['Completed', when(interaction.completed_at)],
          ...Object.entries(timings).map(([name, value]): [string, string] => [
            TIMINGS[name] ?? name,
            name.endsWith('_ms') ? duration(value) : String(value),
          ]),
          [
            'Prompt tokens',
            `${count(usage.prompt_tokens)}${cached ? `, ${count(cached)} of them cached` : ''}`,
          ],
          ['Completion tokens', count(usage.completion_tokens)],
          ...(interaction.cost != null
            ? [['Cost', `${money(interaction.cost)} ${interaction.currency ?? ''}`] as [string, string]]
            : []),
        ]}
      />
      <Divider />
      <Facts
        facts={[
          ['Model', interaction.model ?? '–'],
          ...(interaction.provider
            ? [
                ['Provider', `${interaction.provider}, ${interaction.external_model ?? '–'}`] as [
                  string,
                  string,
                ],
              ]
            : []),
          ['Source', interaction.source],
          ['User', interaction.user ?? '–'],
          ['Created by', interaction.created_by ?? '–'],
          ['A/B test', interaction.ab_test_id ?? '–'],
          ['Completion', <code key="id">{interaction.completion_id}</code>],
          ['Session', <code key="session">{interaction.session_id}</code>],
          ['Request', <code key="request">{interaction.request_id ?? '–'}</code>],
          ['Prompt hash', <code key="hash">{interaction.prompt_hash ?? '–'}</code>],
        ]}
      />
      <CodeBlock
        code={JSON.stringify(interaction.parameters, null, 2)}
        label="Parameters as they were applied"
      />
    </Stack>
  );
}
