import { memo } from 'react';
import ReactMarkdown, { type Components } from 'react-markdown';
import remarkGfm from 'remark-gfm';
import { CodeBlock } from './CodeBlock';
import classes from './Markdown.module.css';
import { safeUrl } from './safeUrl';

/** More than this is shown as it is: reading it as markdown would keep the page busy. */
const MAX_MARKDOWN = 100_000;
const MAX_LINE = 10_000;
/** Deeper quotes and lists than anybody means. */
const TOO_DEEP = /^(?:[ \t]*(?:>|[-*+][ \t]|\d+[.)][ \t])){30}|^[ \t]{120}/m;

const components: Components = {
  a: ({ href, children }) =>
    href ? (
      <a href={href} target="_blank" rel="noopener noreferrer nofollow">
        {children}
      </a>
    ) : (
      <span>{children}</span>
    ),
  // An image of another host would tell it who reads this, and what it was told to send along.
  img: ({ src, alt }) =>
    typeof src === 'string' && src ? (
      <a href={src} target="_blank" rel="noopener noreferrer nofollow">
        {alt || src}
      </a>
    ) : (
      <span>{alt}</span>
    ),
  pre: ({ node }) => {
    const code = node?.children[0];
    if (code?.type !== 'element') return null;
    const language = (code.properties.className as string[] | undefined)?.[0]?.replace('language-', '');
    const text = code.children.map((child) => (child.type === 'text' ? child.value : '')).join('');
    return <CodeBlock code={text.replace(/\n$/, '')} label={language ?? 'Code'} />;
  },
  table: ({ children }) => (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: keyboards scroll what is wider than its place
    <div className={classes.table} tabIndex={0}>
      <table>{children}</table>
    </div>
  ),
  // Headings of an answer are none of the page.
  h1: ({ children }) => <p className={classes.heading}>{children}</p>,
  h2: ({ children }) => <p className={classes.heading}>{children}</p>,
  h3: ({ children }) => <p className={classes.heading}>{children}</p>,
  h4: ({ children }) => <p className={classes.heading}>{children}</p>,
  h5: ({ children }) => <p className={classes.heading}>{children}</p>,
  h6: ({ children }) => <p className={classes.heading}>{children}</p>,
};

/** What a model wrote. HTML in it is text; addresses lead to the web or to mail, and nothing is fetched from them. */
const Markdown = memo(function Markdown({ text }: { text: string }) {
  if (text.length > MAX_MARKDOWN || hasLongLine(text) || TOO_DEEP.test(text))
    return (
      <pre className={classes.plain} dir="auto">
        {text}
      </pre>
    );
  return (
    <div className={classes.markdown} dir="auto">
      <ReactMarkdown remarkPlugins={[remarkGfm]} components={components} urlTransform={safeUrl}>
        {text}
      </ReactMarkdown>
    </div>
  );
});

function hasLongLine(text: string): boolean {
  for (let at = 0; at < text.length; ) {
    const end = text.indexOf('\n', at);
    if ((end < 0 ? text.length : end) - at > MAX_LINE) return true;
    if (end < 0) return false;
    at = end + 1;
  }
  return false;
}

export default Markdown;
