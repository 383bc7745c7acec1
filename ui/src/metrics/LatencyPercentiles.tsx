import { Paper, Table, Text, Title } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { count, duration } from '../components/format';
import { Loaded } from '../components/Loaded';
import { DataTable } from '../components/Page';
import { useMay } from '../shell/useProject';
import { sampleQuery } from './queries';
import { percentile } from './series';

const SHARES = [0.5, 0.95, 0.99];

/** How long answers take: half, nearly all, and all but the slowest, by model. */
export function LatencyPercentiles({ project, from }: { project: string; from: number }) {
  const mayRead = useMay('interaction:read');
  const query = useQuery({ ...sampleQuery(project, 'finished', from), enabled: mayRead });
  if (!mayRead || query.data?.data.length === 0) return null;
  return (
    <Paper withBorder p="md">
      <Title order={2} size="h5" mb="sm">
        Latency, percentiles
      </Title>
      <Loaded query={query} failed="Latencies could not be read">
        {(page) => {
          const models = [...new Set(page.data.map((row) => row.model))];
          const groups = [
            ...(models.length > 1 ? [{ name: 'All models', rows: page.data }] : []),
            ...models.map((model) => ({
              name: model ?? '(none)',
              rows: page.data.filter((row) => row.model === model),
            })),
          ];
          return (
            <>
              <DataTable
                label="Latency, percentiles"
                head={[
                  'Model',
                  'Answers',
                  ...SHARES.map((s) => `First token p${s * 100}`),
                  ...SHARES.map((s) => `Total p${s * 100}`),
                ]}
              >
                {groups.map(({ name, rows }) => (
                  <Table.Tr key={name}>
                    <Table.Td>{name}</Table.Td>
                    <Table.Td>{count(rows.length)}</Table.Td>
                    {['ttft_ms', 'total_ms'].flatMap((timing) => {
                      const values = rows
                        .map((row) => row.timings[timing])
                        .filter((value) => value !== undefined);
                      return SHARES.map((share) => (
                        <Table.Td key={timing + share}>{duration(percentile(values, share))}</Table.Td>
                      ));
                    })}
                  </Table.Tr>
                ))}
              </DataTable>
              <Text size="xs" c="dimmed" mt="xs">
                {page.has_more
                  ? `Of the newest ${count(page.data.length)} of ${count(page.total_count ?? 0)} finished answers in this time.`
                  : `Of all ${count(page.data.length)} finished answers in this time.`}
              </Text>
            </>
          );
        }}
      </Loaded>
    </Paper>
  );
}
