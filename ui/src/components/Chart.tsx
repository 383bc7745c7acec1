import '@mantine/charts/styles.css';
import { BarChart, LineChart } from '@mantine/charts';
import type { ChartProps } from './ChartCard';
import { compactCount, figure } from './format';

/** With more, the dots hide the line. */
const MOST_DOTS = 50;

/** Lines that show how something went, or bars that add up. Of its own module, for its library is large. */
export default function Chart({ kind, names, series, format }: ChartProps) {
  const rows = names.map((name, index) => ({
    name,
    ...Object.fromEntries(series.map((one) => [one.name, one.values[index] ?? undefined])),
  }));
  const isCount = kind === 'bar';
  const points = Math.max(0, ...series.map(({ values }) => values.filter((value) => value !== null).length));
  const shared = {
    h: 220,
    data: rows,
    dataKey: 'name',
    series: series.map(({ name, color }) => ({ name, color })),
    withLegend: series.length > 1,
    valueFormatter: format ?? figure,
    // A unit stays beside its number.
    yAxisProps: { width: format ? 76 : 56, tickFormatter: format ?? compactCount, allowDecimals: !isCount },
    xAxisProps: { minTickGap: 24 },
  };
  return kind === 'bar' ? (
    <BarChart
      {...shared}
      type="stacked"
      barChartProps={{ accessibilityLayer: false }}
      barProps={{ isAnimationActive: false }}
    />
  ) : (
    <LineChart
      {...shared}
      curveType="linear"
      connectNulls
      lineChartProps={{ accessibilityLayer: false }}
      withDots={points <= MOST_DOTS}
      dotProps={{ r: 2 }}
      lineProps={{ isAnimationActive: false }}
    />
  );
}
