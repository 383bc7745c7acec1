import { Modal, Stack, Text } from '@mantine/core';
import { CodeBlock } from '../components/CodeBlock';
import { encodeShared } from './share';
import type { Chat } from './types';

interface ShareDialogProps {
  chat: Chat;
  draft: string;
  opened: boolean;
  onClose: () => void;
}

/** A link to a new chat like this one. */
export function ShareDialog({ chat, draft, opened, onClose }: ShareDialogProps) {
  const share = encodeShared({ settings: chat.panes.map((pane) => pane.settings), draft });
  const link = `${window.location.origin}/projects/${encodeURIComponent(chat.project)}/chat?share=${share}`;
  return (
    <Modal opened={opened} onClose={onClose} title="Share by link" size="lg">
      <Stack gap="sm">
        <Text size="sm">
          It opens a new chat with the models and settings of this one and with what you are about to send.
          Messages and keys are not in it; who opens it signs in with a key of their own.
        </Text>
        <CodeBlock code={link} label="Link" />
      </Stack>
    </Modal>
  );
}
