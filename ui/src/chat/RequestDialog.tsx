import { Modal, SegmentedControl, Stack, Text } from '@mantine/core';
import { useState } from 'react';
import { CodeBlock } from '../components/CodeBlock';
import { ErrorNotice } from '../components/ErrorNotice';
import { asCode, type Dialect } from './code';
import { chatRequest } from './request';
import type { Settings, Turn } from './types';

const DIALECTS: { value: Dialect; label: string }[] = [
  { value: 'sdk', label: 'Adaptive SDK' },
  { value: 'openai', label: 'OpenAI' },
  { value: 'curl', label: 'curl' },
];

interface RequestDialogProps {
  title: string;
  project: string;
  settings: Settings;
  turns: Turn[];
  sessionId: string;
  opened: boolean;
  onClose: () => void;
}

/** One request, as a program would send it. */
export function RequestDialog({ title, opened, onClose, ...request }: RequestDialogProps) {
  return (
    <Modal opened={opened} onClose={onClose} title={title} size="xl">
      <RequestCode {...request} />
    </Modal>
  );
}

function RequestCode({
  project,
  settings,
  turns,
  sessionId,
}: Omit<RequestDialogProps, 'title' | 'opened' | 'onClose'>) {
  const [dialect, setDialect] = useState<Dialect>('sdk');
  let code: string;
  try {
    code = asCode(chatRequest(project, settings, turns, sessionId), dialect, window.location.origin);
  } catch (error) {
    return <ErrorNotice error={new Error(`The JSON schema cannot be read: ${(error as Error).message}`)} />;
  }
  return (
    <Stack gap="sm">
      <SegmentedControl
        data={DIALECTS}
        value={dialect}
        onChange={(value) => setDialect(value as Dialect)}
        aria-label="Language"
      />
      <CodeBlock code={code} label={dialect === 'curl' ? 'Shell' : 'Python'} />
      <Text size="xs" c="dimmed">
        The code reads the API key from the variable ADAPTIVE_API_KEY. "Generate new API key" at the top left
        makes one.
      </Text>
    </Stack>
  );
}
