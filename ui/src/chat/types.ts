import type { Schemas } from '../api/client';

export type Usage = Schemas['Usage'];
export type Warning = Schemas['Warning'];

/** A JSON schema for answers, as it is being written. */
export interface AnswerSchema {
  name: string;
  /** JSON, perhaps not valid yet. */
  schema: string;
  strict: boolean;
  complete: boolean;
}

/** What a request says beside its messages. What is absent is left to the deployment or the model. */
export interface Settings {
  /** A model's key; absent: the project's default, or what an A/B test chooses. */
  model?: string;
  /** Key of an A/B test to take part in; only without a model. */
  abTest?: string;
  system?: string;
  temperature?: number;
  topP?: number;
  maxTokens?: number;
  seed?: number;
  stop?: string[];
  labels?: Record<string, string>;
  /** Absent: the server stores the interaction. */
  store?: boolean;
  answerSchema?: AnswerSchema;
}

export type AnswerState = 'waiting' | 'streaming' | 'done' | 'stopped' | 'failed' | 'interrupted';

export interface Failure {
  message: string;
  code?: string | null;
  requestId?: string | null;
}

/** What is known of a model's turn beside its text. */
export interface Answer {
  state: AnswerState;
  settings: Settings;
  /** What the model thought before, where its provider tells it. */
  reasoning?: string;
  model?: string;
  abTest?: string;
  completionId?: string;
  finishReason?: string;
  schemaValid?: boolean;
  usage?: Usage;
  /** Milliseconds from sending the request, as this browser saw them. */
  firstTokenMs?: number;
  totalMs?: number;
  warnings?: Warning[];
  error?: Failure;
  /** What the person has given it, by the metric's key. */
  scores?: Record<string, number>;
  /** Whether they found it better than what other columns have. */
  preferred?: boolean;
}

export interface Turn {
  id: string;
  parent: string | null;
  role: 'user' | 'assistant';
  text: string;
  /** Data URIs, of a user's turn. */
  images?: string[];
  /** Of an assistant's turn. */
  answer?: Answer;
}

/** One conversation with one choice of settings. Edits and repeats make it a tree; `chosen` says which branch shows. */
export interface Pane {
  id: string;
  sessionId: string;
  settings: Settings;
  turns: Record<string, Turn>;
  /** Children in the order in which they were made; `root` has those without a parent. */
  children: Record<string, string[]>;
  chosen: Record<string, string>;
}

/** One to four panes that get the same messages. */
export interface Chat {
  id: string;
  /** The key that had it; chats of other keys are not shown. */
  owner: string;
  project: string;
  title: string;
  createdAt: number;
  updatedAt: number;
  panes: Pane[];
}

export const MAX_PANES = 4;
