import { Button, MultiSelect, Pill, Select, TextInput } from '@mantine/core';
import { useDisclosure } from '@mantine/hooks';
import { IconFilter, IconSearch } from '@tabler/icons-react';
import { useQuery } from '@tanstack/react-query';
import { useEffect, useState } from 'react';
import { modelsQuery } from '../api/queries';
import { when } from '../components/format';
import { FilterDialog } from './FilterDialog';
import { type Filter, isEmpty, ORDERS, type Order, SPANS, type Span, STATES, type State } from './filter';
import classes from './Interactions.module.css';

interface FilterBarProps {
  project: string;
  filter: Filter;
  order?: Order;
  onFilter: (filter: Filter) => void;
  /** Absent: what is shown has an order of its own. */
  onOrder?: (order: Order) => void;
}

/** The filters that are needed most, and those that are set. */
export function FilterBar({ project, filter, order, onFilter, onOrder }: FilterBarProps) {
  const { data: models = [], error } = useQuery(modelsQuery(project));
  const [more, dialog] = useDisclosure(false);
  const [text, setText] = useState(filter.completion ?? '');
  useEffect(() => setText(filter.completion ?? ''), [filter.completion]);
  const set = (change: Filter) => onFilter(without({ ...filter, ...change }));
  const keys = models.map((model) => model.id.slice(project.length + 1));
  return (
    <>
      <search className={classes.bar}>
        <form
          className={classes.search}
          onSubmit={(event) => {
            event.preventDefault();
            set({ completion: text.trim() || undefined });
          }}
        >
          <TextInput
            size="xs"
            aria-label="Answer contains"
            placeholder="Answer contains …, Enter"
            leftSection={<IconSearch size={15} />}
            value={text}
            onChange={(event) => setText(event.currentTarget.value)}
          />
        </form>
        <MultiSelect
          size="xs"
          className={classes.choice}
          classNames={{ pillsList: classes.chosen, inputField: classes.typed }}
          aria-label="Models"
          placeholder={filter.model ? undefined : 'All models'}
          data={[...new Set([...keys, ...(filter.model ?? [])])]}
          value={filter.model ?? []}
          onChange={(model) => set({ model: model.length ? model : undefined })}
          nothingFoundMessage={error ? 'Models could not be read' : undefined}
          searchable
        />
        <Select
          size="xs"
          className={classes.choice}
          aria-label="Time"
          placeholder={filter.from || filter.to ? 'Chosen times' : 'Any time'}
          clearable
          data={Object.entries(SPANS).map(([value, label]) => ({ value, label }))}
          value={filter.since ?? null}
          onChange={(since) =>
            set({ since: (since ?? undefined) as Span | undefined, from: undefined, to: undefined })
          }
        />
        <MultiSelect
          size="xs"
          className={classes.choice}
          classNames={{ pillsList: classes.chosen, inputField: classes.typed }}
          aria-label="States"
          placeholder={filter.state ? undefined : 'All states'}
          data={[...STATES]}
          value={filter.state ?? []}
          onChange={(state) => set({ state: state.length ? (state as State[]) : undefined })}
        />
        {onOrder && (
          <Select
            size="xs"
            className={classes.choice}
            aria-label="Order"
            allowDeselect={false}
            data={Object.entries(ORDERS).map(([value, label]) => ({ value, label }))}
            value={order ?? 'newest'}
            onChange={(value) => onOrder(value as Order)}
          />
        )}
        <Button size="xs" variant="default" leftSection={<IconFilter size={15} />} onClick={dialog.open}>
          More filters
        </Button>
      </search>
      <ActiveFilters filter={filter} onFilter={onFilter} />
      <FilterDialog
        key={JSON.stringify(filter)}
        project={project}
        filter={filter}
        opened={more}
        onClose={dialog.close}
        onApply={(next) => {
          dialog.close();
          onFilter(without(next));
        }}
      />
    </>
  );
}

/** Without the names that have no value, so that equal filters have equal addresses. */
function without(filter: Filter): Filter {
  return Object.fromEntries(Object.entries(filter).filter(([, value]) => value !== undefined)) as Filter;
}

const NAMES: Partial<Record<keyof Filter, string>> = {
  label: 'label',
  score: 'score',
  source: 'source',
  session: 'session',
  user: 'user',
  createdBy: 'created by',
  abTest: 'A/B test',
  promptHash: 'prompt hash',
  finishReason: 'finish reason',
  compared: 'compared by',
  prompt: 'prompt contains',
  warnings: 'warnings',
  from: 'from',
  to: 'to',
};

/** What is set and stands nowhere else on the bar. */
function ActiveFilters({ filter, onFilter }: { filter: Filter; onFilter: (filter: Filter) => void }) {
  const shown = (Object.keys(NAMES) as (keyof Filter)[]).filter((name) => filter[name] !== undefined);
  if (isEmpty(filter)) return null;
  const inWords = (name: keyof Filter) => {
    const value = filter[name];
    if (name === 'from' || name === 'to') return when(String(value));
    if (name === 'warnings') return value ? 'yes' : 'none';
    return Array.isArray(value) ? value.join(', ') : String(value);
  };
  return (
    <div className={classes.bar}>
      {shown.map((name) => (
        <Pill
          key={name}
          withRemoveButton
          maw={320}
          bg="light-dark(var(--mantine-color-gray-1), var(--mantine-color-dark-5))"
          onRemove={() => onFilter(without({ ...filter, [name]: undefined }))}
          removeButtonProps={{
            'aria-label': `Remove the filter ${NAMES[name]}`,
            'aria-hidden': false,
            tabIndex: 0,
          }}
        >
          {NAMES[name]}: {inWords(name)}
        </Pill>
      ))}
      <Button size="compact-xs" variant="subtle" onClick={() => onFilter({})}>
        Clear all filters
      </Button>
    </div>
  );
}
