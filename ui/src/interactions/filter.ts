/** What is looked for, as the address of the page says it, and the same as the API takes it. */

import type { Schemas } from '../api/client';

export const STATES = ['complete', 'length', 'error', 'cancelled', 'aborted', 'pending'] as const;
export const SOURCES = ['LIVE', 'OFFLINE', 'AUTOMATION', 'DATASET', 'EVALUATION'] as const;
export const ORDERS = {
  newest: 'Newest first',
  oldest: 'Oldest first',
  'longest-answer': 'Longest answer first',
  'longest-prompt': 'Longest prompt first',
} as const;
export const SPANS = {
  '1h': 'Last hour',
  '24h': 'Last 24 hours',
  '7d': 'Last 7 days',
  '30d': 'Last 30 days',
} as const;
export const GROUPS = ['model', 'prompt'] as const;
export const PAGE_SIZES = [100, 500, 1000] as const;

export type State = (typeof STATES)[number];
export type Source = (typeof SOURCES)[number];
export type Order = keyof typeof ORDERS;
export type Span = keyof typeof SPANS;
export type Grouping = (typeof GROUPS)[number];

/** The conditions. All that are there must hold. */
export interface Filter {
  model?: string[];
  /** `key`, or `key=value`. */
  label?: string[];
  /** `metric`, or `metric>=0.5` with any of > >= = != < <=. */
  score?: string[];
  state?: State[];
  source?: Source[];
  session?: string;
  user?: string;
  createdBy?: string;
  abTest?: string;
  promptHash?: string;
  finishReason?: string;
  compared?: string;
  prompt?: string;
  completion?: string;
  warnings?: boolean;
  /** Up to now. Does not count beside `from` or `to`. */
  since?: Span;
  /** RFC 3339. */
  from?: string;
  to?: string;
}

/** Everything that the address of the page holds. */
export interface Search extends Filter {
  order?: Order;
  group?: Grouping;
  size?: number;
  after?: string;
  before?: string;
  /** The completion that is open. */
  open?: string;
}

const TEXTS = [
  'session',
  'user',
  'createdBy',
  'abTest',
  'promptHash',
  'finishReason',
  'compared',
  'prompt',
  'completion',
] as const;

/** What of an address means something here; the rest is left out. */
export function parseSearch(given: Record<string, unknown>): Search {
  const search: Search = {};
  for (const name of ['model', 'label', 'score'] as const) {
    const values = texts(given[name]);
    if (values.length) search[name] = values;
  }
  const states = texts(given.state).filter((value) => oneOf(STATES, value));
  if (states.length) search.state = states as State[];
  const sources = texts(given.source).filter((value) => oneOf(SOURCES, value));
  if (sources.length) search.source = sources as Source[];
  for (const name of [...TEXTS, 'after', 'before', 'open'] as const) {
    const value = text(given[name]);
    if (value) search[name] = value;
  }
  if (typeof given.warnings === 'boolean') search.warnings = given.warnings;
  for (const name of ['from', 'to'] as const) {
    const value = text(given[name]);
    if (value && !Number.isNaN(Date.parse(value))) search[name] = value;
  }
  if (typeof given.since === 'string' && Object.hasOwn(SPANS, given.since))
    search.since = given.since as Span;
  if (typeof given.order === 'string' && Object.hasOwn(ORDERS, given.order))
    search.order = given.order as Order;
  if (oneOf(GROUPS, given.group)) search.group = given.group as Grouping;
  if (oneOf(PAGE_SIZES, given.size)) search.size = given.size as number;
  return search;
}

/** Without where one is in the list: what the next filter begins with. */
export function filterOf(search: Search): Filter {
  const { order, group, size, after, before, open, ...filter } = search;
  return filter;
}

export const isEmpty = (filter: Filter) => Object.keys(filter).length === 0;

type Selection = Pick<
  Schemas['InteractionSearch'],
  | 'project'
  | 'models'
  | 'labels'
  | 'state'
  | 'source'
  | 'session_id'
  | 'user'
  | 'created_by'
  | 'prompt_hash'
  | 'timerange'
  | 'filter'
>;

/** The selection as the API takes it. `now` ends a span. */
export function selection(project: string, filter: Filter, now = Date.now()): Selection {
  const found: Selection = { project };
  if (filter.model) found.models = filter.model;
  if (filter.label) found.labels = filter.label.map(labelFilter);
  if (filter.state) found.state = filter.state;
  if (filter.source) found.source = filter.source;
  if (filter.session) found.session_id = filter.session;
  if (filter.user) found.user = filter.user;
  if (filter.createdBy) found.created_by = filter.createdBy;
  if (filter.promptHash) found.prompt_hash = filter.promptHash;
  if (filter.from || filter.to) {
    found.timerange = { ...(filter.from && { from: filter.from }), ...(filter.to && { to: filter.to }) };
  } else if (filter.since) {
    found.timerange = { from: new Date(now - milliseconds(filter.since)).toISOString() };
  }
  const more: Schemas['FilterExpression'][] = [];
  if (filter.abTest) more.push({ ab_test: { eq: filter.abTest } });
  if (filter.finishReason) more.push({ finish_reason: { eq: filter.finishReason } });
  if (filter.compared) more.push({ comparisons: { metric: filter.compared } });
  if (filter.prompt) more.push({ prompt: { contains: filter.prompt } });
  if (filter.completion) more.push({ completion: { contains: filter.completion } });
  if (filter.warnings !== undefined) more.push({ has_warnings: filter.warnings });
  for (const score of filter.score ?? []) more.push({ scores: scoreCondition(score) });
  if (more.length) found.filter = { and: more };
  return found;
}

export function milliseconds(span: Span): number {
  const hours = { '1h': 1, '24h': 24, '7d': 7 * 24, '30d': 30 * 24 }[span];
  return hours * 3_600_000;
}

function labelFilter(text: string): Schemas['LabelFilter'] {
  const at = text.indexOf('=');
  return at < 0 ? { key: text } : { key: text.slice(0, at), value: [text.slice(at + 1)] };
}

const COMPARISONS = { '>=': 'gte', '<=': 'lte', '!=': 'neq', '>': 'gt', '<': 'lt', '=': 'eq' } as const;

/** `helpful>=0.5` as a condition; without a number, having any score of that metric. */
export function scoreCondition(text: string): Schemas['ScoreCondition'] {
  const found = /^(.*?)\s*(>=|<=|!=|>|<|=)\s*(-?[0-9.]+(?:e-?\d+)?)$/i.exec(text);
  if (!found || !Number.isFinite(Number(found[3]))) return { metric: text };
  const [, metric, operator, value] = found as unknown as [string, string, keyof typeof COMPARISONS, string];
  return { metric, value: { [COMPARISONS[operator]]: Number(value) } };
}

export function sortOrder(order: Order | undefined): Schemas['SortOrder'][] | undefined {
  if (order === 'oldest') return [{ field: 'created_at', order: 'ASC' }];
  if (order === 'longest-answer') return [{ field: 'completion_tokens', order: 'DESC' }];
  if (order === 'longest-prompt') return [{ field: 'prompt_tokens', order: 'DESC' }];
  return undefined;
}

const oneOf = (known: readonly unknown[], value: unknown) => known.includes(value);

// The router reads what looks like a number as one.
const text = (value: unknown) =>
  typeof value === 'string' ? value : typeof value === 'number' ? String(value) : undefined;

function texts(value: unknown): string[] {
  const all = Array.isArray(value) ? value : [value];
  return all
    .map(text)
    .filter((found): found is string => Boolean(found))
    .slice(0, 20);
}
