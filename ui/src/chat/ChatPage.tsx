import { Button } from '@mantine/core';
import { IconMessageOff } from '@tabler/icons-react';
import { useQuery } from '@tanstack/react-query';
import { Link, useParams, useSearch } from '@tanstack/react-router';
import { useEffect, useMemo } from 'react';
import { EmptyState } from '../components/EmptyState';
import { ErrorNotice } from '../components/ErrorNotice';
import { useMay, useMe, useProject } from '../shell/useProject';
import { ChatView } from './ChatView';
import { newPane } from './conversation';
import { decodeShared } from './share';
import { loadChat } from './storage';
import { newChat, useChat } from './store';
import type { Chat } from './types';

/** A chat that has no message yet; perhaps with what somebody shared. */
export function NewChatPage() {
  const project = useProject();
  const me = useMe();
  const { share } = useSearch({ from: '/projects/$project/chat' });
  const shared = useMemo(() => (share ? decodeShared(share) : null), [share]);
  const fresh = useMemo(() => {
    const chat = newChat(me.key, project, {});
    return shared ? { ...chat, panes: shared.settings.map(newPane) } : chat;
  }, [me.key, project, shared]);
  const { chat, open } = useChat();
  useEffect(() => open(fresh), [open, fresh]);
  if (!useMay('completion:create')) return <NotPermitted />;
  if (chat?.id !== fresh.id) return null;
  return <ChatView chat={chat} draft={shared?.draft} unreadableLink={Boolean(share && !shared)} isNew />;
}

/** A chat that this browser has. */
export function ChatPage() {
  const { project, chat: id } = useParams({ from: '/projects/$project/chat/$chat' });
  const me = useMe();
  const { chat, open } = useChat();
  const isMine = (found: Chat | null | undefined) => found?.owner === me.key && found.project === project;
  // The one that is open outlives the pages, and whoever was signed in.
  const isOpen = chat?.id === id && isMine(chat);
  const stored = useQuery({
    queryKey: ['chat', id],
    queryFn: async () => (await loadChat(id)) ?? null,
    enabled: !isOpen,
    gcTime: 0,
    staleTime: 0,
  });
  const found = isMine(stored.data) ? stored.data : null;
  useEffect(() => {
    if (found && useChat.getState().chat?.id !== id) open(found);
  }, [found, id, open]);
  if (!useMay('completion:create')) return <NotPermitted />;
  if (isOpen) return <ChatView chat={chat} key={id} />;
  if (stored.error) return <ErrorNotice error={stored.error} title="This chat could not be read" />;
  if (stored.isPending || found) return null;
  const action = (
    <Button
      renderRoot={(props) => <Link to="/projects/$project/chat" params={{ project }} {...props} />}
      mt="xs"
    >
      New chat
    </Button>
  );
  return (
    <EmptyState icon={IconMessageOff} title="This chat is not in this browser" action={action}>
      Chats are kept in the browser that had them, for the key that was signed in. What was asked and answered
      is among the project's interactions.
    </EmptyState>
  );
}

function NotPermitted() {
  return (
    <EmptyState icon={IconMessageOff} title="This key may not ask models">
      It lacks the permission <code>completion:create</code> in this project. Sign in with another key, or ask
      an administrator for one with the role <code>inference</code>.
    </EmptyState>
  );
}
