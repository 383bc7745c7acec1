import { Component, lazy, type ReactNode, Suspense } from 'react';
import { CodeBlock } from '../components/CodeBlock';
import classes from './Chat.module.css';
import { isRunning } from './conversation';
import { prettyJson } from './figures';
import { Thoughts } from './Thoughts';
import type { Turn } from './types';

// Comes when there is something to read: the page can be used without it.
const Markdown = lazy(() => import('../components/Markdown'));

/** The text of an answer: as markdown, JSON with line breaks, or as the model wrote it. */
export function AnswerText({ turn, raw }: { turn: Turn; raw: boolean }) {
  const { reasoning } = turn.answer!;
  if (!reasoning) return <Answer turn={turn} raw={raw} />;
  return (
    <>
      <Thoughts text={reasoning} thinking={isRunning(turn) && !turn.text} />
      {turn.text && <Answer turn={turn} raw={raw} />}
    </>
  );
}

function Answer({ turn, raw }: { turn: Turn; raw: boolean }) {
  if (turn.answer!.state === 'waiting' && !turn.text) {
    return (
      <div className={classes.waiting} role="status" aria-label="Waiting for the first token">
        <span />
        <span />
        <span />
      </div>
    );
  }
  if (raw) return <CodeBlock code={turn.text} label="Plain text" />;
  const json = isRunning(turn) ? null : prettyJson(turn.text);
  if (json !== null) return <CodeBlock code={json} label="JSON" />;
  const plain = (
    <div className={classes.plain} dir="auto">
      {turn.text}
    </div>
  );
  return (
    <OrPlain plain={plain}>
      <Suspense fallback={plain}>
        <Markdown text={turn.text} />
      </Suspense>
    </OrPlain>
  );
}

/** Whatever a model finds to break the reader of markdown with, its words are shown. */
class OrPlain extends Component<{ plain: ReactNode; children: ReactNode }, { failed: boolean }> {
  override state = { failed: false };

  static getDerivedStateFromError() {
    return { failed: true };
  }

  override render() {
    return this.state.failed ? this.props.plain : this.props.children;
  }
}
