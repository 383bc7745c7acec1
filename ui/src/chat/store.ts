import { create } from 'zustand';
import { ApiError } from '../api/errors';
import { queryClient } from '../api/queries';
import { tellError } from '../components/tell';
import * as conversation from './conversation';
import { newId, newPane } from './conversation';
import { chatRequest } from './request';
import { chatsQuery, saveChat, withChat } from './storage';
import { streamChat } from './stream';
import type { Answer, Chat, Pane, Settings, Turn } from './types';
import { MAX_PANES } from './types';

/** How often text that is coming in is shown, in ms: more often costs more than anybody sees. */
const SHOW_EVERY = 40;
const SAVE_AFTER = 800;

interface ChatStore {
  chat: Chat | null;
  open: (chat: Chat) => void;
  /** Let go of a chat, because it was deleted. */
  forget: (id: string) => void;
  setSettings: (pane: string, settings: Settings) => void;
  addPane: () => void;
  removePane: (pane: string) => void;
  choose: (pane: string, turn: string) => void;
  setScore: (pane: string, turn: string, metric: string, value: number) => void;
  setPreferred: (pane: string, turn: string) => void;
  /** Send a message to every pane. */
  send: (text: string, images?: string[]) => void;
  /** Send another message in the place of one, as a branch of its own. */
  edit: (pane: string, turn: string, text: string) => void;
  /** Have the same answered again. */
  regenerate: (pane: string, turn: string) => void;
  stop: (pane?: string) => void;
}

/** By the id of the answer that is being generated. */
const running = new Map<string, AbortController>();

export function newChat(owner: string, project: string, settings: Settings): Chat {
  const now = Date.now();
  return {
    id: newId(),
    owner,
    project,
    title: 'New chat',
    createdAt: now,
    updatedAt: now,
    panes: [newPane(settings)],
  };
}

export const useChat = create<ChatStore>()((set, get) => {
  const change = (update: (chat: Chat) => Chat) => set(({ chat }) => ({ chat: chat && update(chat) }));

  const changePane = (id: string, update: (pane: Pane) => Pane) =>
    change((chat) => ({ ...chat, panes: chat.panes.map((pane) => (pane.id === id ? update(pane) : pane)) }));

  /** Put a message behind `parent` and have it answered. */
  const ask = (pane: Pane, parent: string | null, text: string, images?: string[]) => {
    const turn: Turn = { id: newId(), parent, role: 'user', text, ...(images?.length ? { images } : {}) };
    changePane(pane.id, (found) => conversation.add(found, turn));
    answer(pane.id, turn.id);
  };

  const answer = (paneId: string, parent: string) => {
    const chat = get().chat!;
    const pane = chat.panes.find((found) => found.id === paneId)!;
    const turn: Turn = {
      id: newId(),
      parent,
      role: 'assistant',
      text: '',
      answer: { state: 'waiting', settings: pane.settings },
    };
    changePane(paneId, (found) => conversation.add(found, turn));
    // A question is kept from its first moment: while a page is closed, a browser may have no time for it any more.
    save();
    void run(chat, paneId, turn, conversation.pathTo(pane, parent), pane.sessionId);
  };

  const run = async (chat: Chat, paneId: string, turn: Turn, turns: Turn[], sessionId: string) => {
    const abort = new AbortController();
    running.set(turn.id, abort);
    const start = performance.now();
    let text = '';
    let known: Answer = turn.answer!;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const show = () => {
      timer = undefined;
      if (get().chat?.id !== chat.id) return;
      changePane(paneId, (pane) =>
        conversation.update(pane, turn.id, (old) => ({
          ...old,
          text,
          answer: { ...known, scores: old.answer?.scores },
        })),
      );
      change((found) => ({ ...found, updatedAt: Date.now() }));
    };
    const end = (more: Partial<Answer>) => {
      clearTimeout(timer);
      known = { ...known, ...more, totalMs: performance.now() - start };
      running.delete(turn.id);
      show();
    };
    try {
      await streamChat(
        chatRequest(chat.project, turn.answer!.settings, turns, sessionId),
        abort.signal,
        ({ abTest }) => {
          known = { ...known, ...(abTest ? { abTest } : {}) };
        },
        (chunk) => {
          const choice = chunk.choices[0];
          if (chunk.usage) known = { ...known, usage: chunk.usage };
          if (chunk.warnings?.length)
            known = { ...known, warnings: [...(known.warnings ?? []), ...chunk.warnings] };
          if (choice) {
            text += choice.delta.content;
            const thought = choice.delta.reasoning_content;
            if (thought) known = { ...known, reasoning: (known.reasoning ?? '') + thought };
            known = { ...known, model: choice.model ?? undefined, completionId: choice.completion_id };
            if (choice.finish_reason) known = { ...known, finishReason: choice.finish_reason };
            if (choice.schema_valid != null) known = { ...known, schemaValid: choice.schema_valid };
            if ((text || thought) && known.firstTokenMs === undefined) {
              known = { ...known, state: 'streaming', firstTokenMs: performance.now() - start };
            }
          }
          timer ??= setTimeout(show, SHOW_EVERY);
        },
      );
      end({ state: 'done' });
    } catch (cause) {
      if (abort.signal.aborted) return end({ state: 'stopped' });
      const error = cause instanceof Error ? cause : new Error(String(cause));
      const requestId = error instanceof ApiError ? error.requestId : null;
      end({ state: 'failed', error: { message: error.message, requestId } });
    }
  };

  return {
    chat: null,
    open: (chat) => {
      get().stop();
      save();
      set({ chat: { ...chat, panes: chat.panes.map(conversation.interrupted) } });
    },
    forget: (id) => {
      if (get().chat?.id !== id) return;
      get().stop();
      set({ chat: null });
    },
    setSettings: (pane, settings) => changePane(pane, (found) => ({ ...found, settings })),
    addPane: () =>
      change((chat) =>
        chat.panes.length < MAX_PANES
          ? { ...chat, panes: [...chat.panes, conversation.copy(chat.panes.at(-1)!)] }
          : chat,
      ),
    removePane: (id) => {
      get().stop(id);
      change((chat) =>
        chat.panes.length > 1 ? { ...chat, panes: chat.panes.filter((pane) => pane.id !== id) } : chat,
      );
    },
    choose: (pane, turn) => changePane(pane, (found) => conversation.choose(found, turn)),
    setScore: (pane, turn, metric, value) =>
      changePane(pane, (found) =>
        conversation.update(found, turn, (old) => ({
          ...old,
          answer: { ...old.answer!, scores: { ...old.answer!.scores, [metric]: value } },
        })),
      ),
    setPreferred: (pane, turn) =>
      changePane(pane, (found) =>
        conversation.update(found, turn, (old) => ({ ...old, answer: { ...old.answer!, preferred: true } })),
      ),
    send: (text, images) => {
      change((chat) =>
        chat.panes.every((pane) => !pane.chosen.root) ? { ...chat, title: titleOf(text) } : chat,
      );
      for (const pane of get().chat?.panes ?? [])
        ask(pane, conversation.path(pane).at(-1)?.id ?? null, text, images);
    },
    edit: (paneId, turnId, text) => {
      const pane = get().chat?.panes.find((found) => found.id === paneId);
      const turn = pane?.turns[turnId];
      if (pane && turn) ask(pane, turn.parent, text, turn.images);
    },
    regenerate: (paneId, turnId) => {
      const parent = get().chat?.panes.find((found) => found.id === paneId)?.turns[turnId]?.parent;
      if (parent) answer(paneId, parent);
    },
    stop: (paneId) => {
      for (const pane of get().chat?.panes ?? []) {
        if (paneId === undefined || pane.id === paneId) {
          for (const id of Object.keys(pane.turns)) running.get(id)?.abort();
        }
      }
    },
  };
});

function titleOf(text: string): string {
  const line = text.trim().replace(/\s+/g, ' ');
  return line.length > 60 ? `${line.slice(0, 59)}…` : line || 'Image';
}

let saving: ReturnType<typeof setTimeout> | undefined;

function save() {
  clearTimeout(saving);
  saving = undefined;
  const { chat } = useChat.getState();
  if (chat?.panes.some((pane) => pane.chosen.root)) void keep(chat);
}

/** Said once, not for every token. */
let isLost = false;

async function keep(chat: Chat) {
  try {
    await saveChat(chat);
    isLost = false;
  } catch (error) {
    if (!isLost) tellError(error, 'This browser does not keep the chat');
    isLost = true;
    return;
  }
  queryClient.setQueryData(
    chatsQuery(chat.owner, chat.project).queryKey,
    (chats) => chats && withChat(chats, chat),
  );
}

useChat.subscribe((state, before) => {
  if (state.chat && state.chat !== before.chat) saving ??= setTimeout(save, SAVE_AFTER);
});
// The last moment at which a page that is closed can write.
window.addEventListener('pagehide', save);
