import { ActionIcon, Alert, Button, Group, Select, Text } from '@mantine/core';
import { IconChevronLeft, IconChevronRight, IconListSearch } from '@tabler/icons-react';
import { useQuery } from '@tanstack/react-query';
import { CodeBlock } from '../components/CodeBlock';
import { EmptyState } from '../components/EmptyState';
import { count, when } from '../components/format';
import { Loaded } from '../components/Loaded';
import { filterOf, isEmpty, PAGE_SIZES, type Search } from './filter';
import classes from './Interactions.module.css';
import { InteractionTable } from './InteractionTable';
import { interactionsQuery } from './queries';

interface InteractionListProps {
  project: string;
  search: Search;
  chosen: ReadonlySet<string>;
  onChoose: (chosen: ReadonlySet<string>) => void;
  onGo: (search: Search) => void;
  onClear: () => void;
}

/** One page of interactions, and the ways to the next and the one before. */
export function InteractionList({ project, search, chosen, onChoose, onGo, onClear }: InteractionListProps) {
  const query = useQuery(interactionsQuery(project, search));
  const filtered = !isEmpty(filterOf(search));
  return (
    <Loaded query={query} failed="Interactions could not be read">
      {(page) => {
        const turn = (where: Pick<Search, 'after' | 'before'>) =>
          onGo({ ...search, after: undefined, before: undefined, ...where });
        const isFirst = !search.after && !search.before;
        if (page.data.length === 0 && isFirst && !page.has_more) {
          return filtered ? <NothingFound onClear={onClear} /> : <NothingYet project={project} />;
        }
        return (
          <>
            {page.searched_to && (
              <Alert color="yellow" mb="xs" py={6}>
                The search took too long and stopped at {when(page.searched_to)}. The next page goes on there;
                narrow the time or add a filter to look further at once.
              </Alert>
            )}
            <InteractionTable
              // Other rows begin at the top, and what is known of the rows in sight is of those before.
              key={`${page.data[0]?.id} ${page.data.length}`}
              rows={page.data}
              busy={query.isPlaceholderData}
              chosen={chosen}
              onChoose={onChoose}
              open={search.open}
              onOpen={(id) => onGo({ ...search, open: id })}
            />
            <div className={classes.foot}>
              <Text size="sm" c="dimmed" role="status">
                {total(page)}
              </Text>
              <Group gap="xs" wrap="nowrap">
                <Select
                  size="xs"
                  w={110}
                  aria-label="Rows of a page"
                  allowDeselect={false}
                  data={PAGE_SIZES.map((size) => ({ value: String(size), label: `${size} rows` }))}
                  value={String(search.size ?? PAGE_SIZES[0])}
                  onChange={(size) => onGo({ ...filterOf(search), order: search.order, size: Number(size) })}
                />
                <ActionIcon
                  variant="default"
                  size="lg"
                  aria-label="Previous page"
                  disabled={!page.has_previous}
                  onClick={() => turn({ before: page.previous_cursor ?? undefined })}
                >
                  <IconChevronLeft size={16} />
                </ActionIcon>
                <ActionIcon
                  variant="default"
                  size="lg"
                  aria-label="Next page"
                  disabled={!page.has_more}
                  onClick={() => turn({ after: page.next_cursor ?? undefined })}
                >
                  <IconChevronRight size={16} />
                </ActionIcon>
              </Group>
            </div>
          </>
        );
      }}
    </Loaded>
  );
}

function total(page: {
  data: unknown[];
  total_count?: number | null;
  total_count_is_exact?: boolean | null;
}) {
  if (page.total_count === null || page.total_count === undefined) return `${page.data.length} on this page`;
  const all = `${page.total_count_is_exact ? '' : 'at least '}${count(page.total_count)}`;
  return `${page.data.length} of ${all}`;
}

function NothingFound({ onClear }: { onClear: () => void }) {
  return (
    <EmptyState
      icon={IconListSearch}
      title="Nothing matches"
      action={
        <Button variant="default" onClick={onClear}>
          Clear all filters
        </Button>
      }
    >
      No interaction of this project is like that. Take a filter away, or look at a longer time.
    </EmptyState>
  );
}

function NothingYet({ project }: { project: string }) {
  const code = `curl ${window.location.origin}/api/v1/chat/completions \\
  -H "Authorization: Bearer $ADAPTIVE_API_KEY" -H "Content-Type: application/json" \\
  -d '${JSON.stringify({ model: project, messages: [{ role: 'user', content: 'Hello!' }] })}'`;
  return (
    <EmptyState icon={IconListSearch} title="Nothing was asked yet">
      <p>Every prompt and its answer are kept here. Ask something in the chat, or from a program:</p>
      <div style={{ textAlign: 'left' }}>
        <CodeBlock code={code} label="Shell" />
      </div>
    </EmptyState>
  );
}
