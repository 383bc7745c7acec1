/** The tree of turns in a pane. Everything here is pure: it gives a new pane and leaves the old one as it is. */

import type { Pane, Settings, Turn } from './types';

const ROOT = 'root';

export function newPane(settings: Settings = {}): Pane {
  return { id: newId(), sessionId: newId(), settings, turns: {}, children: {}, chosen: {} };
}

export function newId(): string {
  // `crypto.randomUUID` is missing where the page came over plain HTTP from another machine.
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6]! & 0x0f) | 0x40;
  bytes[8] = (bytes[8]! & 0x3f) | 0x80;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
  return hex.replace(/(.{8})(.{4})(.{4})(.{4})(.{12})/, '$1-$2-$3-$4-$5');
}

/** The turns that are shown, from the first on. */
export function path(pane: Pane): Turn[] {
  const found: Turn[] = [];
  for (let id = pane.chosen[ROOT]; id; id = pane.chosen[id]) found.push(pane.turns[id]!);
  return found;
}

/** The turns from the first to this one. */
export function pathTo(pane: Pane, id: string): Turn[] {
  const found: Turn[] = [];
  for (let at: string | null = id; at; at = pane.turns[at]!.parent) found.unshift(pane.turns[at]!);
  return found;
}

/** The turns that stand at the same place as this one, itself included. */
export function siblings(pane: Pane, id: string): string[] {
  return pane.children[pane.turns[id]!.parent ?? ROOT] ?? [];
}

/** With one more turn behind its parent, which is shown from now on. */
export function add(pane: Pane, turn: Turn): Pane {
  const parent = turn.parent ?? ROOT;
  return {
    ...pane,
    turns: { ...pane.turns, [turn.id]: turn },
    children: { ...pane.children, [parent]: [...(pane.children[parent] ?? []), turn.id] },
    chosen: { ...pane.chosen, [parent]: turn.id },
  };
}

/** Showing another of the turns at that place. */
export function choose(pane: Pane, id: string): Pane {
  return { ...pane, chosen: { ...pane.chosen, [pane.turns[id]!.parent ?? ROOT]: id } };
}

export function update(pane: Pane, id: string, change: (turn: Turn) => Turn): Pane {
  const turn = pane.turns[id];
  return turn ? { ...pane, turns: { ...pane.turns, [id]: change(turn) } } : pane;
}

/** The same conversation with an id of its own, so that both can go on apart. */
export function copy(pane: Pane): Pane {
  return { ...pane, id: newId(), sessionId: newId() };
}

/** Ids of the stored answers that other panes have to the question of this one, at the same place of the conversation. */
export function rivals(panes: Pane[], own: string, turn: Turn): string[] {
  const pane = panes.length > 1 && panes.find((found) => found.id === own);
  if (!pane || !turn.parent || !isStored(turn)) return [];
  const question = pane.turns[turn.parent]!;
  const place = pathTo(pane, turn.id).length - 1;
  return panes
    .filter((found) => found.id !== own)
    .flatMap((found) => {
      const turns = path(found);
      const other = turns[place];
      const isSame = other && turns[place - 1]?.text === question.text && isStored(other);
      // A copied column has the very same answers up to where it was copied.
      return isSame && other.answer!.completionId !== turn.answer!.completionId
        ? [other.answer!.completionId!]
        : [];
    });
}

function isStored({ answer }: Turn): boolean {
  return answer?.state === 'done' && Boolean(answer.completionId) && answer.settings.store !== false;
}

export function isRunning(turn: Turn | undefined): boolean {
  return turn?.answer?.state === 'waiting' || turn?.answer?.state === 'streaming';
}

/** What was running when the page was closed runs no more: the server ended it when the connection did. */
export function interrupted(pane: Pane): Pane {
  const turns = Object.values(pane.turns).map((turn): [string, Turn] => [
    turn.id,
    isRunning(turn) ? { ...turn, answer: { ...turn.answer!, state: 'interrupted' } } : turn,
  ]);
  return { ...pane, turns: Object.fromEntries(turns) };
}
