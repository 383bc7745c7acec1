import { Paper, Table, Title } from '@mantine/core';
import type { Schemas } from '../api/client';
import { count, duration } from '../components/format';
import { DataTable } from '../components/Page';
import { NO_MODEL } from './series';

const SHARES = ['p50', 'p95', 'p99'] as const;

/** How long answers take, by model: half of them, nearly all, and all but the slowest. */
export function LatencyPercentiles({ traffic }: { traffic: Schemas['ProjectTraffic'] }) {
  const groups = [
    ...(traffic.models.length > 1 ? [{ name: 'All models', group: traffic.total }] : []),
    ...traffic.models.map((group) => ({ name: group.group ?? NO_MODEL, group })),
  ];
  return (
    <Paper withBorder p="md">
      <Title order={2} size="h5" mb="sm">
        Latency by model
      </Title>
      <DataTable
        label="Latency by model"
        head={[
          'Model',
          'Answered',
          'Failed',
          ...SHARES.map((share) => `First token ${share}`),
          ...SHARES.map((share) => `Total ${share}`),
        ]}
      >
        {groups.map(({ name, group }) => (
          <Table.Tr key={name}>
            <Table.Td>{name}</Table.Td>
            <Table.Td>{count(group.answered)}</Table.Td>
            <Table.Td>{count(group.failed)}</Table.Td>
            {[group.time_to_first_token_ms, group.latency_ms].map((times, of) =>
              SHARES.map((share) => <Table.Td key={share + of}>{duration(times?.[share])}</Table.Td>),
            )}
          </Table.Tr>
        ))}
      </DataTable>
    </Paper>
  );
}
