import { Stack, Table, Text, Title } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { count, money } from '../components/format';
import { Loaded } from '../components/Loaded';
import { DataTable } from '../components/Page';
import { projectModelsQuery } from '../models/queries';
import { usageQuery } from './queries';

/** What providers charge for a project's answers, by model; nothing where all models run here. */
export function Costs({ project, from }: { project: string; from: number }) {
  const { data: models = [] } = useQuery(projectModelsQuery(project));
  const isElsewhere = models.some(({ provider }) => provider !== 'internal' && provider !== 'vllm');
  const query = useQuery({ ...usageQuery(project, from), enabled: isElsewhere });
  if (!isElsewhere) return null;
  return (
    <Stack gap="sm">
      <div>
        <Title order={2} size="h4">
          Tokens and costs
        </Title>
        <Text size="sm" c="dimmed">
          By the prices that were known when each answer was given. What runs on this server has none.
        </Text>
      </div>
      <Loaded query={query} failed="The costs could not be read">
        {(usage) => (
          <DataTable
            label="Tokens and costs"
            head={['Model', 'Answers', 'Prompt tokens', 'Cached tokens', 'Completion tokens', 'Cost']}
          >
            {[...usage.data, { ...usage.total, group: 'All together' }].map((group, index) => (
              <Table.Tr key={group.group ?? ''} fw={index === usage.data.length ? 600 : undefined}>
                <Table.Td>{group.group ?? '(no model)'}</Table.Td>
                <Table.Td>{count(group.interactions)}</Table.Td>
                <Table.Td>{count(group.prompt_tokens)}</Table.Td>
                <Table.Td>{count(group.cached_tokens)}</Table.Td>
                <Table.Td>{count(group.completion_tokens)}</Table.Td>
                <Table.Td>{sums(group.costs)}</Table.Td>
              </Table.Tr>
            ))}
          </DataTable>
        )}
      </Loaded>
    </Stack>
  );
}

const sums = (costs: Record<string, number> = {}) =>
  Object.entries(costs)
    .map(([currency, sum]) => `${money(sum)} ${currency}`)
    .join(', ') || '–';
