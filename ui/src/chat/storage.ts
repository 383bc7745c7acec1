import { queryOptions } from '@tanstack/react-query';
import { createStore, del, entries, get, set } from 'idb-keyval';
import type { Chat } from './types';

/** Chats are kept in this browser only. */
const chats = createStore('adaptive-chats', 'chats');

export interface ChatSummary {
  id: string;
  title: string;
  updatedAt: number;
}

/** Read once: from then on the page knows itself what it stored, and need not read every chat for each of its tokens. */
export const chatsQuery = (owner: string, project: string) =>
  queryOptions({
    queryKey: ['chats', owner, project],
    queryFn: () => listChats(owner, project),
    staleTime: Number.POSITIVE_INFINITY,
    // Another tab may have stored one.
    refetchOnWindowFocus: 'always',
  });

/** The list after this chat was stored. */
export function withChat(chats: ChatSummary[], { id, title, updatedAt }: Chat): ChatSummary[] {
  const others = chats.filter((other) => other.id !== id);
  return [...others, { id, title, updatedAt }].sort(newestFirst);
}

const newestFirst = (one: ChatSummary, other: ChatSummary) => other.updatedAt - one.updatedAt;

export const loadChat = (id: string) => get<Chat>(id, chats);
export const saveChat = (chat: Chat) => set(chat.id, chat, chats);
export const deleteChat = (id: string) => del(id, chats);

/** Those that this key had in this project, newest first. */
async function listChats(owner: string, project: string): Promise<ChatSummary[]> {
  return (await entries<string, Chat>(chats))
    .map(([, chat]) => chat)
    .filter((chat) => chat.owner === owner && chat.project === project)
    .map(({ id, title, updatedAt }) => ({ id, title, updatedAt }))
    .sort(newestFirst);
}
