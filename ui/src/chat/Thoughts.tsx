import classes from './Chat.module.css';

/** What a model thought before it answered, for who wants to know. Open while there is nothing else yet. */
export function Thoughts({ text, thinking }: { text: string; thinking: boolean }) {
  return (
    <details className={classes.thoughts} open={thinking || undefined}>
      <summary>{thinking ? 'Thinking …' : 'Thoughts'}</summary>
      <div className={classes.plain} dir="auto">
        {text}
      </div>
    </details>
  );
}
