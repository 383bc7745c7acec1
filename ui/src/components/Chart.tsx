import '@mantine/charts/styles.css';
import { BarChart, LineChart } from '@mantine/charts';
import type { ChartProps } from './ChartCard';
import { compactCount, figure } from './format';

/** Lines that show how something went, or bars that add up. Of its own module, for its library is large. */
export default function Chart({ kind, names, series, format }: ChartProps) {
  const rows = names.map((name, index) => ({
    name,
    ...Object.fromEntries(series.map((one) => [one.name, one.values[index] ?? undefined])),
  }));
  const shared = {
    h: 220,
    data: rows,
    dataKey: 'name',
    series: series.map(({ name, color }) => ({ name, color })),
    withLegend: series.length > 1,
    valueFormatter: format ?? figure,
    yAxisProps: { width: 56, tickFormatter: format ?? compactCount },
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
      dotProps={{ r: 2 }}
      lineProps={{ isAnimationActive: false }}
    />
  );
}
