import { useVirtualizer } from '@tanstack/react-virtual';
import { type KeyboardEvent, memo, useRef, useState } from 'react';
import { atMoment, count, duration } from '../components/format';
import { lastQuestion, oneLine } from './content';
import classes from './Interactions.module.css';
import type { Interaction } from './queries';
import { StateBadge } from './StateBadge';

const ROW = 56;

interface InteractionTableProps {
  rows: Interaction[];
  busy: boolean;
  chosen: ReadonlySet<string>;
  onChoose: (chosen: ReadonlySet<string>) => void;
  open?: string;
  onOpen: (id: string) => void;
}

/** A table of which only the rows in sight are in the document. Arrow keys go from row to row, Enter opens one. */
export function InteractionTable({ rows, busy, chosen, onChoose, open, onOpen }: InteractionTableProps) {
  const scroller = useRef<HTMLDivElement>(null);
  const virtualizer = useVirtualizer({
    count: rows.length,
    getScrollElement: () => scroller.current,
    estimateSize: () => ROW,
    overscan: 8,
  });
  const shown = virtualizer.getVirtualItems();
  const before = shown[0]?.start ?? 0;
  const after = virtualizer.getTotalSize() - (shown.at(-1)?.end ?? 0);

  const toggle = (id: string) => {
    const next = new Set(chosen);
    if (!next.delete(id)) next.add(id);
    onChoose(next);
  };
  // The same two functions all the time, so that scrolling draws none of the rows again.
  const latest = useRef({ toggle, onOpen });
  latest.current = { toggle, onOpen };
  const [{ onToggleRow, onOpenRow }] = useState(() => ({
    onToggleRow: (id: string) => latest.current.toggle(id),
    onOpenRow: (id: string) => latest.current.onOpen(id),
  }));
  const all = rows.length > 0 && rows.every((row) => chosen.has(row.completion_id));

  const onKeyDown = (event: KeyboardEvent) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    const at = (event.target as HTMLElement).closest('tr')?.dataset.index;
    if (!step || at === undefined) return;
    const to = Number(at) + step;
    if (to < 0 || to >= rows.length) return;
    event.preventDefault();
    virtualizer.scrollToIndex(to);
    requestAnimationFrame(() =>
      scroller.current?.querySelector<HTMLElement>(`tr[data-index="${to}"] button`)?.focus(),
    );
  };
  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: the keys are those of the buttons inside
    <div ref={scroller} className={classes.scroller} aria-busy={busy} onKeyDown={onKeyDown}>
      <table className={classes.table} aria-label="Interactions" aria-rowcount={rows.length + 1}>
        <thead>
          <tr>
            <th className={classes.box}>
              <RowCheckbox
                label="Select all rows of this page"
                checked={all}
                some={chosen.size > 0}
                onToggle={() => onChoose(new Set(all ? [] : rows.map((row) => row.completion_id)))}
              />
            </th>
            <th className={classes.time}>Time</th>
            <th className={classes.model}>Model</th>
            <th>Prompt and answer</th>
            <th className={classes.state}>State</th>
            <th className={`${classes.number} ${classes.detail}`}>Tokens</th>
            <th className={`${classes.number} ${classes.detail}`}>First token</th>
            <th className={classes.number}>Total</th>
          </tr>
        </thead>
        <tbody>
          <Spacer height={before} />
          {shown.map(({ index }) => (
            <Row
              key={rows[index]!.id}
              row={rows[index]!}
              index={index}
              chosen={chosen.has(rows[index]!.completion_id)}
              isOpen={open === rows[index]!.completion_id}
              onToggle={onToggleRow}
              onOpen={onOpenRow}
            />
          ))}
          <Spacer height={after} />
        </tbody>
      </table>
    </div>
  );
}

function Spacer({ height }: { height: number }) {
  if (height <= 0) return null;
  return (
    <tr className={classes.spacer} aria-hidden>
      {/* One cell: more would count as columns where the page is too narrow for them. */}
      <td style={{ height }} />
    </tr>
  );
}

interface RowProps {
  row: Interaction;
  index: number;
  chosen: boolean;
  isOpen: boolean;
  onToggle: (id: string) => void;
  onOpen: (id: string) => void;
}

const Row = memo(function Row({ row, index, chosen, isOpen, onToggle, onOpen }: RowProps) {
  const id = row.completion_id;
  const question = lastQuestion(row.messages);
  return (
    <tr
      className={classes.row}
      data-index={index}
      data-open={isOpen || undefined}
      aria-rowindex={index + 2}
      onClick={() => onOpen(id)}
    >
      <td className={classes.box}>
        <RowCheckbox label={`Select: ${question}`} checked={chosen} onToggle={() => onToggle(id)} />
      </td>
      <td className={classes.time}>{atMoment(row.created_at)}</td>
      <td className={classes.model}>{row.model ?? '–'}</td>
      <td>
        <button type="button" className={classes.open}>
          <span className={classes.question}>{question || '(empty)'}</span>
          <span className={classes.answer}>
            <span className={classes.small}>{atMoment(row.created_at)} · </span>
            {oneLine(row.completion) || '(no answer)'}
          </span>
        </button>
      </td>
      <td className={classes.state}>
        <StateBadge state={row.state} />
      </td>
      <td className={`${classes.number} ${classes.detail}`}>{count(row.usage.total_tokens)}</td>
      <td className={`${classes.number} ${classes.detail}`}>{duration(row.timings.ttft_ms)}</td>
      <td className={classes.number}>{duration(row.timings.total_ms)}</td>
    </tr>
  );
});

/** The browser's own: a hundred of them come and go while somebody scrolls. */
function RowCheckbox(props: { label: string; checked: boolean; some?: boolean; onToggle: () => void }) {
  const isSome = Boolean(props.some) && !props.checked;
  return (
    <input
      type="checkbox"
      className={classes.check}
      aria-label={props.label}
      checked={props.checked}
      ref={(element) => {
        if (element) element.indeterminate = isSome;
      }}
      onChange={props.onToggle}
      onClick={(event) => event.stopPropagation()}
    />
  );
}
