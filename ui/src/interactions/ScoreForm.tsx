import { Button, Group, Select, Text, TextInput } from '@mantine/core';
import { useMutation, useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { metricsQuery } from '../api/queries';
import { Form } from '../components/Form';
import { fieldError } from '../components/fieldError';
import { NumberField } from '../components/NumberField';
import { Unread } from '../components/Unread';

interface ScoreFormProps {
  project: string;
  confirm: string;
  /** Whether one may say why. */
  withReason?: boolean;
  onScore: (score: { metric: string; value: number; details?: string }) => Promise<unknown>;
}

/** A value of one of the metrics that people give. */
export function ScoreForm({ project, confirm, withReason, onScore }: ScoreFormProps) {
  const metrics = useQuery(metricsQuery(project));
  const own = metrics.data?.filter((metric) => metric.category === 'USER');
  const [key, setKey] = useState<string | null>(null);
  const [value, setValue] = useState<number>();
  const [details, setDetails] = useState('');
  const metric = own?.find((found) => found.key === key);
  const add = useMutation({
    // What is missing is for the server to name.
    mutationFn: () =>
      onScore({ metric: (key ?? undefined)!, value: value!, details: details.trim() || undefined }),
    onSuccess: () => {
      setValue(undefined);
      setDetails('');
    },
  });
  if (metrics.error && !own) return <Unread queries={{ Metrics: metrics }} />;
  if (own?.length === 0) {
    return (
      <Text size="sm" c="dimmed">
        Values belong to metrics, and this project has none that people give. Create one on the page Metrics.
      </Text>
    );
  }
  const wrong = (name: string) => fieldError(add.error, name);
  return (
    <Form
      sending={add}
      fields={['metric', 'value', 'details']}
      failed="It was not stored"
      gap="xs"
      buttons={null}
    >
      <Group align="flex-start" gap="xs">
        <Select
          size="xs"
          w={170}
          label="Metric"
          placeholder="Choose one"
          data={own?.map((found) => ({ value: found.key, label: found.name }))}
          value={key}
          onChange={(next) => {
            setKey(next);
            setValue(undefined);
          }}
          error={wrong('metric')}
        />
        {metric?.kind === 'BOOL' ? (
          <Select
            size="xs"
            w={120}
            label="Value"
            data={[
              { value: '1', label: 'Yes' },
              { value: '0', label: 'No' },
            ]}
            value={value === undefined ? null : String(value)}
            onChange={(next) => setValue(next === null ? undefined : Number(next))}
            error={wrong('value')}
          />
        ) : (
          <NumberField
            size="xs"
            w={120}
            label="Value"
            suffix={metric?.unit ? ` ${metric.unit}` : undefined}
            value={value}
            onChange={setValue}
            error={wrong('value')}
          />
        )}
        {withReason && (
          <TextInput
            size="xs"
            label="Why"
            flex={1}
            miw={{ base: '100%', xs: 140 }}
            value={details}
            onChange={(event) => setDetails(event.currentTarget.value)}
            error={wrong('details')}
          />
        )}
        {/* Beside the fields, which have labels above them. */}
        <Button mt={{ base: 0, xs: 25 }} size="xs" type="submit" loading={add.isPending}>
          {confirm}
        </Button>
      </Group>
    </Form>
  );
}
