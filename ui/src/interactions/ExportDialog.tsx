import { Alert, Button, Group, Modal, Select, Stack, Text } from '@mantine/core';
import { useMutation, useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { api, type Schemas } from '../api/client';
import { metricsQuery } from '../api/queries';
import { CodeBlock } from '../components/CodeBlock';
import { ErrorNotice } from '../components/ErrorNotice';
import { many } from '../components/format';
import { Unread } from '../components/Unread';
import { BATCH, joined, ofCompletions } from './chosen';
import { type Filter, isEmpty, selection } from './filter';

type Format = NonNullable<Schemas['InteractionExport']['format']>;
type Kind = NonNullable<Schemas['InteractionExport']['kind']>;

const KINDS: Record<Kind, string> = {
  interactions: 'Interactions: everything',
  messages: 'Messages: for training on whole conversations',
  sft: 'SFT: prompt and completion',
  preferences: 'Preferences: chosen and rejected, from comparisons',
};

interface ExportDialogProps {
  project: string;
  filter: Filter;
  chosen: ReadonlySet<string>;
  opened: boolean;
  onClose: () => void;
}

/** A file of the chosen rows, or of all that match the filter. */
export function ExportDialog({ project, filter, chosen, opened, onClose }: ExportDialogProps) {
  const [format, setFormat] = useState<Format>('jsonl');
  const [kind, setKind] = useState<Kind>('interactions');
  const [metric, setMetric] = useState<string | null>(null);
  const metrics = useQuery({ ...metricsQuery(project), enabled: opened });
  const asked = {
    format,
    kind,
    images: 'url' as const,
    ...(kind === 'preferences' && metric ? { metric } : {}),
  };
  const save = useMutation({
    mutationFn: async () => {
      const file = async (which: ReturnType<typeof selection>) => {
        const { data } = await api.POST('/api/v1/interactions/export', {
          body: { ...which, ...asked },
          parseAs: 'blob',
        });
        return data as Blob;
      };
      const whole = chosen.size ? ofCompletions(project, chosen) : [selection(project, filter)];
      const files: Blob[] = [];
      for (const which of whole) files.push(await file(which));
      const content =
        format === 'parquet' || files.length === 1
          ? files[0]!
          : new Blob([joined(format, await Promise.all(files.map((part) => part.text())))]);
      download(content, `${project.replaceAll(/[^\w.-]+/g, '-')}-${kind}.${format}`);
    },
    onSuccess: onClose,
  });
  const tooMany = format === 'parquet' && chosen.size > BATCH;
  const what = chosen.size
    ? many(chosen.size, 'selected interaction')
    : isEmpty(filter)
      ? 'all interactions of the project'
      : 'all interactions that match the filter';
  return (
    <Modal opened={opened} onClose={onClose} title="Export" size="lg">
      <Stack>
        <Text size="sm">A file of {what}, oldest first.</Text>
        <Select
          label="Format"
          allowDeselect={false}
          data={[
            { value: 'jsonl', label: 'JSONL: an object per line' },
            { value: 'csv', label: 'CSV: for spreadsheets' },
            { value: 'parquet', label: 'Parquet: for data frames' },
          ]}
          value={format}
          onChange={(value) => setFormat(value as Format)}
        />
        <Select
          label="Records"
          allowDeselect={false}
          data={Object.entries(KINDS).map(([value, label]) => ({ value, label }))}
          value={kind}
          onChange={(value) => setKind(value as Kind)}
        />
        {kind === 'preferences' && (
          <>
            <Select
              label="Metric"
              placeholder="All metrics"
              clearable
              data={metrics.data?.filter((found) => found.category === 'USER').map((found) => found.key)}
              value={metric}
              onChange={setMetric}
            />
            <Unread queries={{ Metrics: metrics }} />
          </>
        )}
        <Text size="xs" c="dimmed">
          The browser holds the file in memory until it is complete. For gigabytes, use a program that can go
          on after an interruption:
        </Text>
        <CodeBlock
          code={`adaptive interactions export all.jsonl --project ${project} --resume`}
          label="Shell"
        />
        {tooMany && (
          <Alert color="yellow">
            A Parquet file has at most {BATCH} selected rows. Select fewer, or clear the selection and narrow
            the filter instead.
          </Alert>
        )}
        {save.error && <ErrorNotice error={save.error} />}
        <Group justify="flex-end">
          <Button variant="default" onClick={onClose}>
            Cancel
          </Button>
          <Button loading={save.isPending} disabled={tooMany} onClick={() => save.mutate()}>
            Export
          </Button>
        </Group>
      </Stack>
    </Modal>
  );
}

function download(file: Blob, name: string) {
  const address = URL.createObjectURL(file);
  const link = document.createElement('a');
  link.href = address;
  link.download = name;
  link.click();
  // The download has begun by the time that other tasks run.
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
}
