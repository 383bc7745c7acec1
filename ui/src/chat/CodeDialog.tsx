import { path } from './conversation';
import { RequestDialog } from './RequestDialog';
import type { Chat, Turn } from './types';

interface CodeDialogProps {
  chat: Chat;
  draft: string;
  opened: boolean;
  onClose: () => void;
}

/** The request that the first column would send next. */
export function CodeDialog({ chat, draft, opened, onClose }: CodeDialogProps) {
  const pane = chat.panes[0]!;
  const next: Turn = { id: 'next', parent: null, role: 'user', text: draft || 'Your message' };
  return (
    <RequestDialog
      title="The next request as code"
      project={chat.project}
      settings={pane.settings}
      turns={[...path(pane), next]}
      sessionId={pane.sessionId}
      opened={opened}
      onClose={onClose}
    />
  );
}
