import { Stack, Table, Title } from '@mantine/core';
import { count } from '../components/format';
import { DataTable } from '../components/Page';
import type { AbTest } from './verdict';

/** Who won against whom. */
export function AbTestComparisons({ test }: { test: AbTest }) {
  const pairs = test.report.variants.flatMap(({ model, comparisons }, index) =>
    // Each pair once: the other half says the same the other way round.
    (comparisons ?? [])
      .filter((other) => test.report.variants.findIndex((found) => found.model.id === other.model.id) > index)
      .map((other) => ({ model, other })),
  );
  if (pairs.length === 0) return null;
  return (
    <Stack gap="sm">
      <Title order={2} size="h5">
        Model against model
      </Title>
      <DataTable
        label="Model against model"
        head={['Models', 'First is better', 'Second is better', 'Both good', 'Both bad', 'Comparisons']}
      >
        {pairs.map(({ model, other }) => (
          <Table.Tr key={`${model.id} ${other.model.id}`}>
            <Table.Td fw={600}>
              {model.key} and {other.model.key}
            </Table.Td>
            <Table.Td>{count(other.wins)}</Table.Td>
            <Table.Td>{count(other.losses)}</Table.Td>
            <Table.Td>{count(other.ties_good)}</Table.Td>
            <Table.Td>{count(other.ties_bad)}</Table.Td>
            <Table.Td>{count(other.scores)}</Table.Td>
          </Table.Tr>
        ))}
      </DataTable>
    </Stack>
  );
}
