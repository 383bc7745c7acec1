import type { Schemas } from '../api/client';

/** What thumbs and preferences count for: the project's default metric if it is a yes-or-no one, else its first. */
export function thumbsMetric(
  metrics: Schemas['Metric'][],
  project: Schemas['Project'] | undefined,
): Schemas['Metric'] | undefined {
  const yesOrNo = metrics.filter(({ category, kind }) => category === 'USER' && kind === 'BOOL');
  return yesOrNo.find(({ key }) => key === project?.settings?.default_metric) ?? yesOrNo[0];
}
