import { ActionIcon, Button, Group, Paper, Select, Stack, Text } from '@mantine/core';
import { IconPlus, IconTrash } from '@tabler/icons-react';
import { LongTextField } from '../components/LongTextField';
import { NumberField } from '../components/NumberField';
import { type ExampleDraft, type GraderDraft, withExample } from './graderDraft';

interface GraderExamplesProps {
  draft: GraderDraft;
  onChange: (draft: GraderDraft) => void;
  error?: string;
}

const words = { size: 'xs', minRows: 1, maxRows: 5 };

/** Judgements that people made, which the judge reads before its own. */
export function GraderExamples({ draft, onChange, error }: GraderExamplesProps) {
  const change = (id: number, update: Partial<ExampleDraft>) =>
    onChange({
      ...draft,
      examples: draft.examples.map((found) => (found.id === id ? { ...found, ...update } : found)),
    });
  return (
    <Stack gap="xs" role="group" aria-label="Examples">
      <Group justify="space-between">
        <Text size="sm" fw={600}>
          Examples
        </Text>
        <Button
          size="compact-xs"
          variant="default"
          leftSection={<IconPlus size={14} />}
          onClick={() => onChange(withExample(draft))}
        >
          Add example
        </Button>
      </Group>
      <Text size="xs" c="dimmed">
        Judgements of yours, which the judge reads before its own; at most 20.
      </Text>
      {draft.examples.map((example, index) => (
        <Paper key={example.id} withBorder p="xs">
          <Stack gap="xs">
            <LongTextField
              {...words}
              label="Question"
              value={example.input}
              onChange={(input) => change(example.id, { input })}
            />
            <LongTextField
              {...words}
              label="Answer"
              value={example.output}
              onChange={(output) => change(example.id, { output })}
            />
            <Group align="flex-end" gap="xs" wrap="nowrap">
              {draft.scaled ? (
                <NumberField
                  size="xs"
                  w={90}
                  label="Score"
                  value={example.score as number | undefined}
                  onChange={(score) => change(example.id, { score })}
                />
              ) : (
                <Select
                  size="xs"
                  w={150}
                  label="Verdict"
                  allowDeselect={false}
                  data={[
                    { value: 'PASS', label: 'Pass' },
                    { value: 'FAIL', label: 'Fail' },
                    { value: 'NA', label: 'Not applicable' },
                  ]}
                  value={example.score as string}
                  onChange={(score) => change(example.id, { score: score as ExampleDraft['score'] })}
                />
              )}
              <LongTextField
                {...words}
                flex={1}
                label="Why"
                value={example.reasoning}
                onChange={(reasoning) => change(example.id, { reasoning })}
              />
              <ActionIcon
                variant="subtle"
                color="red"
                aria-label={`Remove example ${index + 1}`}
                onClick={() =>
                  onChange({ ...draft, examples: draft.examples.filter(({ id }) => id !== example.id) })
                }
              >
                <IconTrash size={16} />
              </ActionIcon>
            </Group>
          </Stack>
        </Paper>
      ))}
      {error && (
        <Text size="xs" c="error">
          {error}
        </Text>
      )}
    </Stack>
  );
}
