import { Alert, Button, Code, Group, Text } from '@mantine/core';
import { IconAlertCircle } from '@tabler/icons-react';
import type { ApiError } from '../api/errors';
import { CopyText } from './CodeBlock';

export interface ErrorNoticeProps {
  error: Error | { message: string; requestId?: string | null };
  title?: string;
  /** What to do about it, where that is one click. */
  action?: { label: string; onClick: () => void };
}

/** What went wrong, with the id under which the server's log has it. */
export function ErrorNotice({ error, title, action }: ErrorNoticeProps) {
  const requestId = 'requestId' in error ? (error as ApiError).requestId : null;
  return (
    <Alert
      color="red"
      variant="light"
      icon={<IconAlertCircle size={18} />}
      title={title}
      role="alert"
      styles={{ body: { minWidth: 0 } }}
    >
      <Text size="sm" style={{ overflowWrap: 'anywhere', whiteSpace: 'pre-wrap' }}>
        {error.message}
      </Text>
      {(requestId || action) && (
        <Group mt="xs" gap="sm">
          {action && (
            <Button size="compact-sm" variant="default" onClick={action.onClick}>
              {action.label}
            </Button>
          )}
          {requestId && (
            <Group gap={4} wrap="nowrap" miw={0}>
              <Text size="xs" style={{ overflowWrap: 'anywhere' }}>
                Request <Code>{requestId}</Code>
              </Text>
              <CopyText value={requestId} label="Copy request id" />
            </Group>
          )}
        </Group>
      )}
    </Alert>
  );
}
