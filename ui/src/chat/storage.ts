import { createStore, del, entries, get, set } from 'idb-keyval';
import type { Chat } from './types';

/** Chats are kept in this browser only. */
const chats = createStore('adaptive-chats', 'chats');

export interface ChatSummary {
  id: string;
  title: string;
  updatedAt: number;
}

export const loadChat = (id: string) => get<Chat>(id, chats);
export const saveChat = (chat: Chat) => set(chat.id, chat, chats);
export const deleteChat = (id: string) => del(id, chats);

/** Those that this key had in this project, newest first. */
export async function listChats(owner: string, project: string): Promise<ChatSummary[]> {
  return (await entries<string, Chat>(chats))
    .map(([, chat]) => chat)
    .filter((chat) => chat.owner === owner && chat.project === project)
    .sort((one, other) => other.updatedAt - one.updatedAt)
    .map(({ id, title, updatedAt }) => ({ id, title, updatedAt }));
}
