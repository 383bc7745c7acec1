import { Button, Group, Table, Text, Title } from '@mantine/core';
import { Children, type ReactNode, useState } from 'react';
import classes from './Page.module.css';

interface PageProps {
  title: string;
  description?: ReactNode;
  /** Buttons beside the title. */
  actions?: ReactNode;
  /** The page does not scroll; a part of it does. */
  fixed?: boolean;
  children: ReactNode;
}

/** A page of a project: its title, what can be done, and the rest. */
export function Page({ title, description, actions, fixed, children }: PageProps) {
  return (
    <div className={fixed ? `${classes.page} ${classes.fixed}` : classes.page}>
      <div className={classes.head}>
        <div className={classes.words}>
          <Title order={1} size="h3">
            {title}
          </Title>
          {description && (
            <Text c="dimmed" size="sm" maw={720}>
              {description}
            </Text>
          )}
        </div>
        {actions && <Group gap="xs">{actions}</Group>}
      </div>
      {children}
    </div>
  );
}

/** More rows than this keep a page busy; those behind come when they are asked for. */
const MOST_ROWS = 100;
/** What a column takes at least, in px, before its table scrolls sideways. */
const COLUMN = 100;

/** A table that scrolls sideways by itself where it is wider than the page. `label` is its name for who cannot see it. */
export function DataTable({
  label,
  head,
  children,
}: {
  label: string;
  head: ReactNode[];
  children: ReactNode;
}) {
  const [most, setMost] = useState(MOST_ROWS);
  const rows = Children.toArray(children);
  const hasActions = head.at(-1) === '';
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: keyboards scroll what is wider than its place
    <section className={classes.table} tabIndex={0} aria-label={label}>
      <Table
        data-actions={hasActions || undefined}
        miw={(hasActions ? head.length - 1 : head.length) * COLUMN}
        verticalSpacing="xs"
        horizontalSpacing="sm"
        highlightOnHover
      >
        <Table.Thead>
          <Table.Tr>
            {head.map((name, index) => (
              <Table.Th key={index}>{name}</Table.Th>
            ))}
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>{rows.slice(0, most)}</Table.Tbody>
      </Table>
      {rows.length > most && (
        <Button variant="subtle" size="xs" fullWidth radius={0} onClick={() => setMost(most + 5 * MOST_ROWS)}>
          {most} of {rows.length} shown: show more
        </Button>
      )}
    </section>
  );
}
