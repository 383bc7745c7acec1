import { describe, expect, it } from 'vitest';
import * as conversation from './conversation';
import type { Answer, Pane, Turn } from './types';

const turn = (id: string, parent: string | null, role: Turn['role'] = 'user'): Turn => ({
  id,
  parent,
  role,
  text: id,
});

function built(...turns: Turn[]): Pane {
  return turns.reduce(conversation.add, conversation.newPane());
}

const shown = (pane: Pane) => conversation.path(pane).map(({ id }) => id);

describe('conversation', () => {
  it('shows the branch that was made last, and any other that is chosen', () => {
    const pane = built(
      turn('a', null),
      turn('b', 'a', 'assistant'),
      turn('c', 'b'),
      turn('d', 'a', 'assistant'),
    );
    expect(shown(pane)).toEqual(['a', 'd']);
    expect(shown(conversation.choose(pane, 'b'))).toEqual(['a', 'b', 'c']);
    expect(conversation.siblings(pane, 'b')).toEqual(['b', 'd']);
    expect(conversation.pathTo(pane, 'c').map(({ id }) => id)).toEqual(['a', 'b', 'c']);
  });

  it('edits the first message as a branch of the root', () => {
    const pane = built(turn('a', null), turn('b', 'a', 'assistant'), turn('a2', null));
    expect(shown(pane)).toEqual(['a2']);
    expect(conversation.siblings(pane, 'a2')).toEqual(['a', 'a2']);
  });

  it('leaves what it was given as it is', () => {
    const before = built(turn('a', null));
    const after = conversation.update(before, 'a', (old) => ({ ...old, text: 'new' }));
    expect(before.turns.a!.text).toBe('a');
    expect(after.turns.a!.text).toBe('new');
    expect(conversation.update(before, 'unknown', (old) => old)).toBe(before);
  });

  it('gives a copy a session of its own', () => {
    const pane = built(turn('a', null));
    const copy = conversation.copy(pane);
    expect(shown(copy)).toEqual(['a']);
    expect(copy.sessionId).not.toBe(pane.sessionId);
    expect(copy.sessionId).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  });

  it('knows that nothing runs after a page was closed', () => {
    const running: Turn = { ...turn('b', 'a', 'assistant'), answer: { state: 'streaming', settings: {} } };
    const done: Turn = { ...turn('c', 'a', 'assistant'), answer: { state: 'done', settings: {} } };
    const pane = conversation.interrupted(built(turn('a', null), running, done));
    expect(pane.turns.b!.answer!.state).toBe('interrupted');
    expect(pane.turns.c!.answer!.state).toBe('done');
  });
});

describe('rivals of an answer', () => {
  const answered = (question: string, completionId: string, more: Partial<Answer> = {}): Pane => {
    const asked = { ...turn('q', null), text: question };
    const answer: Answer = { state: 'done', settings: {}, completionId, ...more };
    return built(asked, { ...turn('a', 'q', 'assistant'), answer });
  };
  const rivals = (...panes: Pane[]) => conversation.rivals(panes, panes[0]!.id, panes[0]!.turns.a!);

  it('are what other columns have to the same question', () => {
    expect(rivals(answered('Hi', '1'), answered('Hi', '2'), answered('Hi', '3'))).toEqual(['2', '3']);
    expect(rivals(answered('Hi', '1'))).toEqual([]);
    expect(rivals(answered('Hi', '1'), answered('Ho', '2'))).toEqual([]);
  });

  it('are stored, whole, and not the same answer', () => {
    expect(rivals(answered('Hi', '1'), answered('Hi', '1'))).toEqual([]);
    expect(rivals(answered('Hi', '1'), answered('Hi', '2', { state: 'streaming' }))).toEqual([]);
    expect(rivals(answered('Hi', '1'), answered('Hi', '2', { settings: { store: false } }))).toEqual([]);
    expect(rivals(answered('Hi', '1', { settings: { store: false } }), answered('Hi', '2'))).toEqual([]);
  });
});
