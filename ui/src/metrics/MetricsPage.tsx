import { Button, SegmentedControl, Stack } from '@mantine/core';
import { useDisclosure } from '@mantine/hooks';
import { IconLock, IconPlus, IconRefresh } from '@tabler/icons-react';
import { useQueryClient } from '@tanstack/react-query';
import { useNavigate, useSearch } from '@tanstack/react-router';
import { useMemo, useState } from 'react';
import { EmptyState } from '../components/EmptyState';
import { Page } from '../components/Page';
import { useAsked } from '../shell/useAsked';
import { useMay, useProject } from '../shell/useProject';
import { Costs } from './Costs';
import { MetricDialog } from './MetricDialog';
import { MetricTable } from './MetricTable';
import { MetricTrend } from './MetricTrend';
import { buckets, SPANS, type Span } from './series';
import { Traffic } from './Traffic';

const ROUTE = '/projects/$project/metrics';

/** What a project's traffic looks like, and how good the answers are said to be. */
export function MetricsPage() {
  const project = useProject();
  const navigate = useNavigate({ from: ROUTE });
  const client = useQueryClient();
  const asked = useSearch({ from: ROUTE }).span;
  const span: Span = asked && Object.hasOwn(SPANS, asked) ? (asked as Span) : '7d';
  // Not at each drawing: another moment would be another question.
  const [now, setNow] = useState(Date.now);
  const starts = useMemo(() => buckets(span, now), [span, now]);
  const refresh = () => {
    setNow(Date.now());
    for (const of of ['traffic', 'statistics', 'usage'])
      void client.invalidateQueries({ queryKey: [of, project] });
  };
  const mayManage = useMay('metric:manage');
  const [creating, dialog] = useDisclosure(false);
  useAsked('Create metric', dialog.open);
  if (!useMay('project:read')) {
    return (
      <EmptyState icon={IconLock} title="This key may not see the project">
        It lacks the permission <code>project:read</code>.
      </EmptyState>
    );
  }
  const actions = (
    <>
      <SegmentedControl
        size="xs"
        aria-label="Time"
        data={Object.entries(SPANS).map(([value, { label }]) => ({ value, label }))}
        value={span}
        onChange={(next) => void navigate({ search: { span: next } })}
      />
      <Button size="xs" variant="default" leftSection={<IconRefresh size={15} />} onClick={refresh}>
        Refresh
      </Button>
      {mayManage && (
        <Button size="xs" leftSection={<IconPlus size={15} />} onClick={dialog.open}>
          Create metric
        </Button>
      )}
    </>
  );
  return (
    <Page
      title="Metrics"
      description="What was asked of the models here, by the hour or, for longer times, the day (UTC)."
      actions={actions}
    >
      <Stack gap="lg">
        <Traffic project={project} span={span} starts={starts} />
        <MetricTrend project={project} span={span} starts={starts} />
        <Costs project={project} from={starts[0]!} />
        <MetricTable project={project} />
      </Stack>
      <MetricDialog project={project} opened={creating} onClose={dialog.close} />
    </Page>
  );
}
