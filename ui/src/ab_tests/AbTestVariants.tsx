import { Table, Text } from '@mantine/core';
import { count, figure } from '../components/format';
import { DataTable } from '../components/Page';
import classes from './AbTest.module.css';
import { type AbTest, scaleOf } from './verdict';

/** How each model does, on one scale. */
export function AbTestVariants({ test }: { test: AbTest }) {
  const { variants } = test.report;
  const scale = scaleOf(variants);
  const compared = test.score_type === 'COMPARISON';
  const head = [
    'Model',
    compared ? 'Share of wins' : 'Mean',
    'Interval',
    'Requests',
    'Scores',
    compared ? 'Comparisons' : 'Sessions',
  ];
  return (
    <DataTable label="Models of the test" head={head}>
      {variants.map((variant) => (
        <Table.Tr key={variant.model.id}>
          <Table.Td fw={600}>{variant.model.key}</Table.Td>
          <Table.Td>{figure(variant.mean)}</Table.Td>
          <Table.Td miw={200}>
            {variant.interval && scale ? <IntervalBar interval={variant.interval} scale={scale} /> : '–'}
          </Table.Td>
          <Table.Td>{count(variant.requests)}</Table.Td>
          <Table.Td>{count(variant.scores)}</Table.Td>
          <Table.Td>{count(variant.units)}</Table.Td>
        </Table.Tr>
      ))}
    </DataTable>
  );
}

/** Where the true mean is, all looks together: a line on the scale that all models share. */
function IntervalBar({
  interval,
  scale,
}: {
  interval: { start: number; middle: number; end: number };
  scale: [number, number];
}) {
  const [least, greatest] = scale;
  const at = (value: number) =>
    `${(100 * (Math.min(Math.max(value, least), greatest) - least)) / (greatest - least)}%`;
  return (
    <div>
      <div className={classes.scale} aria-hidden>
        <div
          className={classes.interval}
          style={{ left: at(interval.start), right: `calc(100% - ${at(interval.end)})` }}
        />
        <div className={classes.middle} style={{ left: at(interval.middle) }} />
      </div>
      <Text size="xs" c="dimmed">
        {figure(interval.start)} to {figure(interval.end)}
      </Text>
    </div>
  );
}
