import {
  Alert,
  Button,
  Checkbox,
  Group,
  Input,
  JsonInput,
  List,
  Stack,
  Text,
  TextInput,
} from '@mantine/core';
import { useDebouncedValue } from '@mantine/hooks';
import { useQuery } from '@tanstack/react-query';
import { api, body, type Schemas } from '../api/client';
import { ErrorNotice } from '../components/ErrorNotice';
import { PRESETS } from './presets';
import type { AnswerSchema, Settings } from './types';

interface AnswerSchemaEditorProps {
  project: string;
  settings: Settings;
  value?: AnswerSchema;
  onChange: (value: AnswerSchema | undefined) => void;
  /** Whose answers have to match. */
  about?: string;
}

/** A JSON schema for the answers, with what the server says about it while it is written. */
export function AnswerSchemaEditor(props: AnswerSchemaEditorProps) {
  const { project, settings, value, onChange, about = 'this chat' } = props;
  const presets = (
    <Group gap="xs">
      {PRESETS.map(({ label, name, schema }) => (
        <Button
          key={name}
          size="compact-sm"
          variant="default"
          onClick={() =>
            onChange({
              name,
              schema: JSON.stringify(schema, null, 2),
              strict: value?.strict ?? false,
              complete: true,
            })
          }
        >
          {label}
        </Button>
      ))}
    </Group>
  );
  return (
    <Input.Wrapper
      label="Response format"
      description={`A JSON schema that every answer of ${about} has to match. Begin with one of these:`}
      labelElement="div"
    >
      <Stack gap="sm" mt={8}>
        {presets}
        {value && (
          <>
            <TextInput
              label="Name"
              value={value.name}
              onChange={(event) => onChange({ ...value, name: event.currentTarget.value })}
            />
            <JsonInput
              label="JSON schema"
              autosize
              minRows={6}
              maxRows={18}
              formatOnBlur
              spellCheck={false}
              styles={{ input: { fontFamily: 'var(--mantine-font-family-monospace)', fontSize: 13 } }}
              value={value.schema}
              onChange={(schema) => onChange({ ...value, schema })}
            />
            <SchemaVerdict project={project} settings={settings} schema={value.schema} />
            <Checkbox
              label="Strict"
              description="Refuse the request rather than warn when a part of the schema cannot be enforced"
              checked={value.strict}
              onChange={(event) => onChange({ ...value, strict: event.currentTarget.checked })}
            />
            <Checkbox
              label="Complete"
              description="Close the JSON before max tokens cut it"
              checked={value.complete}
              onChange={(event) => onChange({ ...value, complete: event.currentTarget.checked })}
            />
            <Button variant="subtle" color="red" size="compact-sm" onClick={() => onChange(undefined)}>
              Answer with free text again
            </Button>
          </>
        )}
      </Stack>
    </Input.Wrapper>
  );
}

const VERDICTS: Record<Schemas['SchemaReport']['verdict'], { color: string; title: string }> = {
  enforced: { color: 'teal', title: 'Enforced: every answer matches' },
  partly_enforced: { color: 'yellow', title: 'Partly enforced: answers are checked when they are finished' },
  not_enforced: { color: 'orange', title: 'Not enforced: answers are free text' },
  refused: { color: 'red', title: 'Refused: requests with this schema fail' },
};

function SchemaVerdict({
  project,
  settings,
  schema,
}: {
  project: string;
  settings: Settings;
  schema: string;
}) {
  const [text] = useDebouncedValue(schema, 350);
  const parsed = parse(text);
  const model = settings.model ? `${project}/${settings.model}` : project;
  const check = useQuery({
    queryKey: ['schema check', model, text],
    queryFn: () => body(api.POST('/api/v1/structured/validate', { body: { schema: parsed.schema, model } })),
    enabled: parsed.schema !== undefined,
    placeholderData: (before) => before,
  });
  if (parsed.problem) {
    return (
      <Alert color="red" variant="light" title="This is no schema yet">
        {parsed.problem}
      </Alert>
    );
  }
  if (check.error) return <ErrorNotice error={check.error} title="The schema could not be checked" />;
  if (!check.data) return <Text size="sm">Checking …</Text>;
  const report = check.data;
  const { color, title } = VERDICTS[report.verdict];
  return (
    <Alert color={color} variant="light" title={title} role="status">
      {report.refused && <Note pointer={report.refused.pointer} reason={report.refused.reason} />}
      {report.not_enforced && <Text size="sm">{report.not_enforced}</Text>}
      <Notes title="Checked afterwards, not enforced" notes={report.unenforced} />
      <Notes title="Rewritten" notes={report.rewritten} />
      <Notes title="Narrowed" notes={report.narrowed} />
      {report.enforced.length > 0 && <Text size="xs">Enforced keywords: {report.enforced.join(', ')}</Text>}
      {report.shortest_answer && (
        <Text size="xs">
          The shortest answer has {report.shortest_answer.tokens} tokens,{' '}
          {Math.round(100 * report.shortest_answer.forced_share)} % of them without a choice.
        </Text>
      )}
    </Alert>
  );
}

function Notes({ title, notes }: { title: string; notes: Schemas['KeywordNote'][] }) {
  if (!notes.length) return null;
  return (
    <>
      <Text size="sm" fw={600}>
        {title}
      </Text>
      <List size="sm" mb={4}>
        {notes.map((note) => (
          <List.Item key={note.pointer + note.keyword}>
            <Note pointer={note.pointer} reason={note.reason} />
          </List.Item>
        ))}
      </List>
    </>
  );
}

function Note({ pointer, reason }: { pointer: string; reason: string }) {
  return (
    <Text size="sm" style={{ overflowWrap: 'anywhere' }}>
      <code>{pointer || '/'}</code> {reason}
    </Text>
  );
}

function parse(text: string): { schema?: Record<string, unknown>; problem?: string } {
  try {
    const schema: unknown = JSON.parse(text);
    if (typeof schema === 'object' && schema !== null && !Array.isArray(schema)) {
      return { schema: schema as Record<string, unknown> };
    }
    return { problem: 'A JSON schema is an object: {"type": "object", …}' };
  } catch (error) {
    return { problem: (error as Error).message };
  }
}
