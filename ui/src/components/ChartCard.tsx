import { Group, Paper, Skeleton, Table, Text, Title, UnstyledButton } from '@mantine/core';
import { useDisclosure } from '@mantine/hooks';
import { lazy, Suspense } from 'react';
import { figure } from './format';
import { DataTable } from './Page';

// Charts are most of what this page loads, and the last that is looked at.
const Chart = lazy(() => import('./Chart'));

export interface Series {
  name: string;
  color: string;
  /** One per name on the axis; null where there is nothing. */
  values: (number | null)[];
}

export interface ChartProps {
  kind: 'bar' | 'line';
  names: string[];
  series: Series[];
  format?: (value: number) => string;
}

interface ChartCardProps extends ChartProps {
  title: string;
  note?: string;
  /** As wide as the page, beside others that share a row. */
  wide?: boolean;
}

/** A chart, and the same numbers as a table for who cannot see it or wants them exactly. */
export function ChartCard({ title, note, wide, ...chart }: ChartCardProps) {
  const [table, { toggle }] = useDisclosure(false);
  return (
    <Paper withBorder p="md" miw={0} style={wide ? { gridColumn: '1 / -1' } : undefined}>
      <Group justify="space-between" mb="sm" wrap="nowrap">
        <Title order={2} size="h5" miw={0} style={{ overflowWrap: 'anywhere' }}>
          {title}
        </Title>
        <UnstyledButton
          fz="xs"
          c="var(--mantine-color-anchor)"
          style={{ flexShrink: 0 }}
          onClick={toggle}
          aria-expanded={table}
        >
          {table ? 'Hide table' : 'Show table'}
        </UnstyledButton>
      </Group>
      <Suspense fallback={<Skeleton height={220} />}>
        <div aria-hidden>
          <Chart {...chart} />
        </div>
      </Suspense>
      {note && (
        <Text size="xs" c="dimmed" mt="xs">
          {note}
        </Text>
      )}
      {table && <ChartTable label={`${title} as a table`} {...chart} />}
    </Paper>
  );
}

/** Without the times at which nothing happened. */
function ChartTable({ label, names, series, format = figure }: ChartProps & { label: string }) {
  const rows = names
    .map((name, index) => ({ name, values: series.map(({ values }) => values[index] ?? null) }))
    .filter(({ values }) => values.some((value) => value));
  return (
    <DataTable label={label} head={['Time', ...series.map(({ name }) => name)]}>
      {rows.map(({ name, values }) => (
        <Table.Tr key={name}>
          <Table.Td>{name}</Table.Td>
          {values.map((value, index) => (
            <Table.Td key={series[index]!.name}>{value === null ? '–' : format(value)}</Table.Td>
          ))}
        </Table.Tr>
      ))}
    </DataTable>
  );
}
