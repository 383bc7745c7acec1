import { Alert, Button, Code, CopyButton, Group, Text } from '@mantine/core';
import { IconAlertCircle } from '@tabler/icons-react';
import type { ApiError } from '../api/errors';

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
    <Alert color="red" variant="light" icon={<IconAlertCircle size={18} />} title={title} role="alert">
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
            <CopyButton value={requestId}>
              {({ copied, copy }) => (
                <Button size="compact-xs" variant="transparent" color="gray" onClick={copy} px={0}>
                  Request <Code ml={6}>{copied ? 'copied' : requestId}</Code>
                </Button>
              )}
            </CopyButton>
          )}
        </Group>
      )}
    </Alert>
  );
}
