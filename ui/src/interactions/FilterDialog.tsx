import {
  Autocomplete,
  Button,
  Group,
  Modal,
  MultiSelect,
  Select,
  SimpleGrid,
  Stack,
  TagsInput,
  TextInput,
} from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { abTestsQuery, metricsQuery } from '../api/queries';
import { Unread } from '../components/Unread';
import { type Filter, SOURCES, type Source } from './filter';
import { labelsQuery } from './queries';

interface FilterDialogProps {
  project: string;
  filter: Filter;
  opened: boolean;
  onClose: () => void;
  onApply: (filter: Filter) => void;
}

/** Everything that interactions can be found by. */
export function FilterDialog({ project, filter, opened, onClose, onApply }: FilterDialogProps) {
  const [draft, setDraft] = useState(filter);
  const labels = useQuery({ ...labelsQuery(project), enabled: opened });
  const metrics = useQuery({ ...metricsQuery(project), enabled: opened });
  const tests = useQuery({ ...abTestsQuery(project), enabled: opened });
  const set = (change: Filter) => setDraft({ ...draft, ...change });
  const line = (name: 'session' | 'user' | 'createdBy' | 'promptHash' | 'finishReason' | 'prompt') => ({
    value: draft[name] ?? '',
    onChange: (event: { currentTarget: HTMLInputElement }) =>
      set({ [name]: event.currentTarget.value || undefined }),
  });
  const scored = (metrics.data ?? []).filter((metric) => metric.category !== 'SYSTEM');
  const list = (values: string[]) => (values.length ? values : undefined);
  return (
    <Modal opened={opened} onClose={onClose} title="Filters" size="lg">
      <form
        onSubmit={(event) => {
          event.preventDefault();
          onApply(trimmed(draft));
        }}
      >
        <Stack>
          <TextInput
            label="Prompt contains"
            description="In the text of one message; without regard to the case of letters"
            {...line('prompt')}
          />
          <TagsInput
            label="Labels"
            description="A key, or key=value. All of them must be there"
            data={labels.data?.flatMap(({ key, values }) => [
              key,
              ...values.map(({ value }) => `${key}=${value}`),
            ])}
            value={draft.label ?? []}
            onChange={(label) => set({ label: list(label) })}
            maxDropdownHeight={220}
          />
          <TagsInput
            label="Scores"
            description="A metric, or a comparison such as helpful>=0.5 or cost<2"
            data={scored.flatMap(({ key, kind }) =>
              kind === 'BOOL' ? [key, `${key}=1`, `${key}=0`] : [key],
            )}
            value={draft.score ?? []}
            onChange={(score) => set({ score: list(score) })}
          />
          <SimpleGrid cols={{ base: 1, xs: 2 }}>
            <TextInput
              type="datetime-local"
              label="Created from"
              value={local(draft.from)}
              onChange={(event) => set({ from: instant(event.currentTarget.value), since: undefined })}
            />
            <TextInput
              type="datetime-local"
              label="Created before"
              value={local(draft.to)}
              onChange={(event) => set({ to: instant(event.currentTarget.value), since: undefined })}
            />
            <Autocomplete
              label="A/B test"
              placeholder="Key or id"
              data={tests.data?.map((test) => test.key)}
              value={draft.abTest ?? ''}
              onChange={(abTest) => set({ abTest: abTest || undefined })}
            />
            <Autocomplete
              label="Compared by metric"
              data={scored.map((metric) => metric.key)}
              value={draft.compared ?? ''}
              onChange={(compared) => set({ compared: compared || undefined })}
            />
            <TextInput label="Session id" description="Of one conversation" {...line('session')} />
            <TextInput label="User" description="What the request called its user" {...line('user')} />
            <TextInput
              label="Created by"
              description="A user's e-mail address or id"
              {...line('createdBy')}
            />
            <TextInput label="Finish reason" description="stop, length, …" {...line('finishReason')} />
            <TextInput label="Prompt hash" description="Of equal prompts" {...line('promptHash')} />
            <Select
              label="Warnings"
              description="Whether the answer came with any"
              clearable
              placeholder="Either"
              data={[
                { value: 'true', label: 'With warnings' },
                { value: 'false', label: 'Without warnings' },
              ]}
              value={draft.warnings === undefined ? null : String(draft.warnings)}
              onChange={(value) => set({ warnings: value === null ? undefined : value === 'true' })}
            />
          </SimpleGrid>
          <MultiSelect
            label="Source"
            description="LIVE: answered here. OFFLINE: logged by a program"
            data={[...SOURCES]}
            value={draft.source ?? []}
            onChange={(source) => set({ source: list(source) as Source[] | undefined })}
          />
          <Unread queries={{ Labels: labels, Metrics: metrics, 'A/B tests': tests }} />
          <Group justify="flex-end">
            <Button variant="default" onClick={() => setDraft({})}>
              Clear
            </Button>
            <Button type="submit">Apply</Button>
          </Group>
        </Stack>
      </form>
    </Modal>
  );
}

/** Not while somebody types: the space between two words is the end of what is there at that moment. */
function trimmed(filter: Filter): Filter {
  const values = Object.entries(filter).map(([name, value]) => [
    name,
    typeof value === 'string' ? value.trim() || undefined : value,
  ]);
  return Object.fromEntries(values) as Filter;
}

/** As the browser's own field of a time wants it: in the reader's zone, without one. */
function local(iso: string | undefined): string {
  if (!iso) return '';
  const at = new Date(iso);
  return new Date(at.getTime() - at.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
}

function instant(text: string): string | undefined {
  const at = new Date(text);
  return Number.isNaN(at.getTime()) ? undefined : at.toISOString();
}
