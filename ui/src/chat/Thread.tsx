import { useVirtualizer } from '@tanstack/react-virtual';
import { useEffect, useLayoutEffect, useRef } from 'react';
import { AnswerView } from './AnswerView';
import classes from './Chat.module.css';
import { QuestionView } from './QuestionView';
import type { Pane, Turn } from './types';

/** Nearer to the end than this, in px, the view follows what comes in. */
const FOLLOW_WITHIN = 80;

interface ThreadProps {
  pane: Pane;
  turns: Turn[];
  project: string;
}

/** The turns of a conversation, of which only those in sight are in the document. */
export function Thread({ pane, turns, project }: ThreadProps) {
  const scroller = useRef<HTMLDivElement>(null);
  const follows = useRef(true);
  const virtualizer = useVirtualizer({
    count: turns.length,
    getScrollElement: () => scroller.current,
    estimateSize: (index) => 80 + turns[index]!.text.length / 2,
    getItemKey: (index) => turns[index]!.id,
    overscan: 4,
    paddingEnd: 16,
    paddingStart: 8,
  });
  const height = virtualizer.getTotalSize();

  // A new turn is what somebody wants to see, wherever they had scrolled to.
  useEffect(() => {
    if (turns.length) follows.current = true;
  }, [turns.length]);

  // biome-ignore lint/correctness/useExhaustiveDependencies: growing is what asks for it
  useLayoutEffect(() => {
    if (follows.current && scroller.current) scroller.current.scrollTop = scroller.current.scrollHeight;
  }, [height, turns.length]);

  const onScroll = () => {
    const { scrollHeight, scrollTop, clientHeight } = scroller.current!;
    follows.current = scrollHeight - scrollTop - clientHeight < FOLLOW_WITHIN;
  };

  return (
    <div
      ref={scroller}
      className={classes.thread}
      onScroll={onScroll}
      // biome-ignore lint/a11y/noNoninteractiveTabindex: keyboards scroll it
      tabIndex={0}
      role="log"
      aria-label="Messages"
    >
      <div className={classes.turns} style={{ height }}>
        {virtualizer.getVirtualItems().map(({ key, index, start }) => {
          const turn = turns[index]!;
          return (
            <div
              key={key}
              ref={virtualizer.measureElement}
              data-index={index}
              className={classes.turn}
              style={{ transform: `translateY(${start}px)` }}
            >
              {turn.role === 'user' ? (
                <QuestionView pane={pane} turn={turn} />
              ) : (
                <AnswerView pane={pane} turn={turn} project={project} />
              )}
            </div>
          );
        })}
      </div>
    </div>
  );
}
